// postgres.js: pipelines by itself. Modes: prepared (named statements), unnamed.
'use strict'
const postgres = require('postgres')
const { STEPS, SEALED, WORD, ADA, shown, oid, emit, errorOf, textOf, check } = require('./common.js')

// Element types that the driver does not find out from the elements.
const ARRAYS = { 'int8[]': 1016, 'timestamptz[]': 1185, 'bytea[]': 1001 }
const prepare = process.argv[2] === 'prepared'

async function main () {
  const sql = postgres({ max: 1, prepare, onnotice: () => {}, ssl: false, user: 'app', fetch_types: true })
  for (const step of STEPS) emit(step.check, step.step, await run(sql, step))
  await own(sql)
  await sql.end()
}

async function run (sql, step) {
  const [text, values] = textOf(step)
  let result
  for (let n = 0; n < (step.again || 1); n++) {
    try {
      // What the driver serialises by described type: text for some, native for others.
      const params = values.map((v, k) => {
        const kind = step.params[k] && step.params[k][0]
        return v && ARRAYS[kind] ? sql.array(v.map((e) => typeof e === 'bigint' ? String(e) : e), ARRAYS[kind]) : v
      }).map((v, k) => typeof v === 'bigint' || (v && /json/.test(step.params[k][0])) ? String(v) : v)
      result = answer(step.simple ? await sql.unsafe(text).simple() : await sql.unsafe(text, params, { prepare }))
    } catch (problem) {
      result = errorOf(problem)
    }
  }
  return result
}

function answer (result) {
  if (Array.isArray(result) && Array.isArray(result[0]) && result[0].command) return result.map(answer)
  return { command: result.command, count: result.count, columns: (result.columns || []).map((c) => c && [c.name, oid(c.type)]), rows: shown([...result]) }
}

async function own (sql) {
  await check('batch', async () => {
    await sql`DELETE FROM orders`
    const rows = [...Array(40).keys()].map((n) => ({ id: n, email: `${WORD}-${n % 20}`, total: n }))
    const inserted = await sql`INSERT INTO orders ${sql(rows, 'id', 'email', 'total')} RETURNING id, email`
    return [shown([...inserted]), answer(await sql`SELECT email, count(*) FROM orders GROUP BY email ORDER BY min(id)`)]
  })
  await check('search', async () => answer(await sql`SELECT id, email FROM orders WHERE email IN ${sql([`${WORD}-1`, `${WORD}-2`])} ORDER BY id`))
  await check('search', async () => answer(await sql`SELECT id, email FROM orders WHERE email = ANY(${[`${WORD}-1`, `${WORD}-2`]}) ORDER BY id`))
  await check('update', async () => answer(await sql`UPDATE orders SET ${sql({ email: `${WORD}-changed`, total: 77 })} WHERE email = ${`${WORD}-7`} RETURNING *`))

  await check('pipeline', async () => {
    const bad = SEALED ? sql`SELECT id FROM orders WHERE upper(email) = ${'KANARIE'}` : sql`SELECT nothing || ${'KANARIE'}`
    const all = [sql`SELECT email FROM orders WHERE id = ${1}`, bad, sql`SELECT email FROM orders WHERE id = ${2}`]
    return (await Promise.allSettled(all)).map((r) => r.status === 'fulfilled' ? answer(r.value) : ['0A000', '42703'].includes(r.reason.code))
  })
  await check('pipeline', async () => {
    const all = [...Array(30).keys()].map((n) => sql`SELECT id, email FROM orders WHERE email = ${`${WORD}-${n}`} ORDER BY id`)
    return (await Promise.all(all)).map(answer)
  })

  await check('transaction', async () => {
    const outcome = []
    await sql.begin(async (sql) => {
      await sql`UPDATE orders SET total = 1 WHERE email = ${`${WORD}-3`}`
      await sql.savepoint(async (sql) => {
        await sql`UPDATE orders SET total = 2 WHERE email = ${`${WORD}-3`}`
        await (SEALED ? sql`SELECT email || ${'KANARIE'} FROM orders` : sql`SELECT nothing || ${'KANARIE'}`)
      }).catch((e) => outcome.push(['0A000', '42703'].includes(e.code)))
    })
    return [outcome, answer(await sql`SELECT total FROM orders WHERE email = ${`${WORD}-3`}`)]
  })

  await check('cursor', async () => {
    const rows = []
    await sql`SELECT id, email FROM orders WHERE id < ${30} ORDER BY id`.cursor(7, (some) => { rows.push(shown([...some])) })
    return rows
  })
  await check('cursor', async () => {
    const rows = []
    await sql`SELECT id, email FROM orders ORDER BY id`.forEach((row) => { rows.push(shown(row)) })
    return rows
  })
  await check('describe', async () => {
    const d = await sql`SELECT id, email, total FROM orders WHERE email = ${ADA}`.describe()
    return [d.types.map(oid), d.columns.map((c) => [c.name, oid(c.type)])]
  })

  await check('copy', async () => {
    const into = await sql`COPY items (id, label) FROM STDIN`.writable()
    await new Promise((resolve, reject) => { into.on('error', reject); into.on('finish', resolve); into.write('50\tfifty\n51\t'); into.end('\\N\n') })
    const out = []
    for await (const part of await sql`COPY (SELECT id, label FROM items WHERE id >= 50 ORDER BY id) TO STDOUT`.readable()) out.push(part)
    return Buffer.concat(out).toString()
  })

  await check('notify', async () => {
    let heard
    const promise = new Promise((resolve) => { heard = resolve })
    const listening = await sql.listen('channel', heard)
    await sql.notify('channel', 'hello')
    const payload = await promise
    await listening.unlisten()
    return payload
  })

  await check('cancel', async () => {
    const query = sql`SELECT pg_sleep(20)`
    setTimeout(() => query.cancel(), 300)
    return query
  })
  await check('cancel', async () => answer(await sql`SELECT count(*) FROM accounts WHERE email = ${ADA}`))
}

main().catch((problem) => { console.error(problem); process.exit(1) })

// node-postgres. Modes: text (unnamed statements), binary (results), named (prepared once), pipeline.
'use strict'
const { pipeline: join } = require('stream/promises')
const { Readable } = require('stream')
const { Client, Pool, types } = require('pg')
const Cursor = require('pg-cursor')
const { from: copyFrom, to: copyTo } = require('pg-copy-streams')
const { STEPS, SEALED, WORD, ADA, shown, oid, emit, errorOf, textOf, check } = require('./common.js')

const MODE = process.argv[2]
const names = new Map()
// The driver's own parser of binary int8 fails.
types.setTypeParser(20, 'binary', (value) => value.readBigInt64BE())

async function main () {
  const client = new Client({ pipeline: MODE === 'pipeline' })
  await client.connect()
  if (MODE === 'pipeline') await pipelined(client)
  else for (const step of STEPS) emit(step.check, step.step, await run(client, step))
  await own(client)
  await client.end()
}

function query (client, sql, values) {
  const config = { text: sql, rowMode: 'array', binary: MODE === 'binary' }
  if (values && values.length) config.values = values.map((v) => typeof v === 'bigint' ? v.toString() : v)
  if (MODE === 'named' && values && values.length) {
    if (!names.has(sql)) names.set(sql, `statement ${names.size}`)
    config.name = names.get(sql)
  }
  return client.query(config)
}

async function run (client, step) {
  const [sql, values] = textOf(step)
  let result
  for (let n = 0; n < (step.again || 1); n++) {
    try {
      result = answer(await query(client, sql, values))
    } catch (problem) {
      result = errorOf(problem)
    }
  }
  return result
}

function answer (result) {
  if (Array.isArray(result)) return result.map(answer)
  return {
    command: result.command, count: result.rowCount,
    columns: result.fields.map((f) => [f.name, oid(f.dataTypeID), f.dataTypeSize, f.dataTypeModifier, f.format]), rows: shown(result.rows)
  }
}

// All queries of a check are on their way before the first is answered.
async function pipelined (client) {
  for (const name of new Set(STEPS.map((step) => step.check))) {
    const steps = STEPS.filter((step) => step.check === name)
    const results = await Promise.allSettled(steps.map((step) => query(client, ...textOf(step))))
    results.forEach((r, n) => emit(name, steps[n].step, r.status === 'fulfilled' ? answer(r.value) : errorOf(r.reason)))
  }
}

async function own (client) {
  const ask = async (sql, ...values) => answer(await query(client, sql, values))

  await check('batch', async () => {
    await ask('DELETE FROM orders')
    const inserts = []
    for (let n = 0; n < 40; n++) inserts.push(query(client, 'INSERT INTO orders (id, email, total) VALUES ($1, $2, $3) RETURNING email', [n, `${WORD}-${n % 20}`, n]))
    const rows = (await Promise.all(inserts)).map((r) => r.rows[0])
    return [shown(rows), await ask('SELECT email, count(*) FROM orders GROUP BY email ORDER BY min(id)')]
  })
  await check('batch', () => ask('INSERT INTO orders (id, email) SELECT * FROM unnest($1::int[], $2::text[])', [100, 101], [`${WORD}-u1`, `${WORD}-u2`]))
  await check('batch', async () => {
    const bad = SEALED ? 'SELECT id FROM orders WHERE upper(email) = $1' : 'SELECT nothing || $1'
    const results = await Promise.allSettled([
      query(client, 'SELECT email FROM orders WHERE id = $1', [1]), query(client, bad, ['KANARIE']), query(client, 'SELECT email FROM orders WHERE id = $1', [2])])
    return results.map((r) => r.status === 'fulfilled' ? answer(r.value) : ['0A000', '42703'].includes(r.reason.code))
  })

  if (MODE !== 'pipeline') {
    await check('cursor', async () => {
      const cursor = client.query(new Cursor('SELECT id, email FROM orders WHERE id < $1 ORDER BY id', [30], { rowMode: 'array' }))
      const rows = []
      for (let some = await cursor.read(7); some.length; some = await cursor.read(7)) rows.push(some)
      await cursor.close()
      return shown(rows)
    })
    await check('cursor', async () => {
      const cursor = client.query(new Cursor('SELECT id, email FROM orders ORDER BY id'))
      const some = await cursor.read(3)
      await cursor.close()
      return [shown(some), await ask('SELECT email FROM orders WHERE id = $1', 5)]
    })
    await check('copy', async () => {
      await join(Readable.from(['50\tfifty\n51\t', '\\N\n']), client.query(copyFrom('COPY items (id, label) FROM STDIN')))
      const out = []
      await join(client.query(copyTo('COPY (SELECT id, label FROM items WHERE id >= 50 ORDER BY id) TO STDOUT')), async (source) => {
        for await (const part of source) out.push(part)
      })
      return Buffer.concat(out).toString()
    })
  }

  await check('transaction', async () => {
    await query(client, 'BEGIN')
    await query(client, 'UPDATE orders SET total = 1 WHERE email = $1', [`${WORD}-3`])
    const outcome = await query(client, SEALED ? 'SELECT email || $1 FROM orders' : 'SELECT nothing || $1', ['KANARIE']).catch((e) => ['0A000', '42703'].includes(e.code))
    const failed = await query(client, 'SELECT 1').catch((e) => e.code)
    const end = await query(client, 'COMMIT')
    return [outcome, failed, end.command, await ask('SELECT total FROM orders WHERE email = $1', `${WORD}-3`)]
  })

  await check('notify', async () => {
    const heard = new Promise((resolve) => client.once('notification', (n) => resolve([n.channel, n.payload])))
    await query(client, 'LISTEN channel')
    await query(client, "NOTIFY channel, 'hello'")
    return heard
  })

  await check('cancel', async () => {
    const other = new Client()
    await other.connect()
    const pid = client.processID
    setTimeout(() => other.query('SELECT pg_cancel_backend($1)', [pid]).then(() => other.end()), 300)
    return query(client, 'SELECT pg_sleep(20)')
  })
  await check('cancel', () => ask('SELECT count(*) FROM accounts WHERE email = $1', ADA))

  await check('pool', async () => {
    const pool = new Pool({ max: 4 })
    const rows = await Promise.all([...Array(12).keys()].map((n) => query(pool, 'SELECT id, email FROM orders WHERE email = $1 ORDER BY id', [`${WORD}-${n}`])))
    await pool.end()
    return rows.map((r) => shown(r.rows))
  })
}

main().catch((problem) => { console.error(problem); process.exit(1) })

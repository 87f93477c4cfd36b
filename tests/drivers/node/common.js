// What the scripts for Node share: native parameters, results as text, one line of JSON for each step.
'use strict'
const crypto = require('crypto')
const fs = require('fs')

const STEPS = JSON.parse(fs.readFileSync(process.env.STEPS, 'utf8'))
const SEALED = process.env.TARGET === 'sealed'
const WORD = 'kanarie'
const ADA = `${WORD}-ada@example.com`

const timestamp = (text) => new Date(text.replace(' ', 'T').replace(/\+(\d\d)$/, '+$1:00'))
const NATIVE = {
  int2: Number, int4: Number, float4: Number, float8: Number, int8: BigInt,
  bool: (text) => text === 'true',
  bytea: (text) => Buffer.from(text, 'hex'),
  // Dates carry milliseconds only.
  timestamptz: timestamp,
}

// A parameter as an application has it.
function native (kind, text) {
  if (text === null) return null
  if (kind.endsWith('[]')) return text.map((element) => native(kind.slice(0, -2), element))
  return (NATIVE[kind] || String)(text)
}

// A result with its type; long ones by their digest.
function shown (value) {
  if (value === null || value === undefined) return value === null ? null : 'undefined'
  if (Buffer.isBuffer(value)) return short(`Buffer ${value.toString('hex')}`)
  if (Array.isArray(value)) return value.map(shown)
  if (value instanceof Date) return `Date ${isNaN(value) ? 'invalid' : value.toISOString()}`
  if (typeof value === 'object') {
    return short(`${value.constructor && value.constructor.name} ` + JSON.stringify(value, (_, v) => typeof v === 'bigint' ? `${v}n` : v))
  }
  return short(`${typeof value} ${value}`)
}

function short (text) {
  if (text.length <= 500) return text
  return `${text.length} characters, ${crypto.createHash('sha256').update(text).digest('hex').slice(0, 16)}`
}

// Types of the database's own have other numbers in each database.
const oid = (number) => number < 16384 ? number : 'user-defined'

function emit (check, step, result) {
  process.stdout.write(JSON.stringify({ check, step, result }) + '\n')
}

function errorOf (problem) {
  const state = problem.code || problem.name
  const result = {
    error: state, message: problem.message, detail: problem.detail || null, severity: problem.severity,
    constraint: problem.constraint || problem.constraint_name, table: problem.table || problem.table_name
  }
  if (state === '0A000') result.position = Boolean(problem.position)
  return result
}

// The step's statement for this target, and its parameters.
function textOf (step) {
  if (step.refused && !SEALED) return [step.instead, []]
  return [step.sql, step.params.map(([kind, text]) => native(kind, text))]
}

// Gives the outcome of an action as a step of a check.
const numbers = {}
async function check (name, act) {
  numbers[name] = (numbers[name] || 1000) + 1
  let result
  try {
    result = await act()
  } catch (problem) {
    result = errorOf(problem)
  }
  emit(name, numbers[name], result === undefined ? null : result)
}

module.exports = { STEPS, SEALED, WORD, ADA, native, shown, oid, emit, errorOf, textOf, check }

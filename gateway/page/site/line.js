// The line as it is: what changes pass, from Redis to the targets.

import { h, patch, pill } from './view.js'
import { count, plural, rate, span, word } from './format.js'
import { applierOf, halted, inUse, laneLevel, ownLanes, targetLevel, targets } from './verdict.js'
import { draw } from './edges.js'

const most = 8 // change streams that are drawn; those with the longest backlog

const worst = (levels) => ['bad', 'warn', 'ok'].find((l) => levels.includes(l)) ?? 'idle'

// card is a station of the line.
const card = (id, level, name, state, ...facts) =>
  h('li', { key: id, class: `station ${level}`, 'data-station': id },
    h('div', { class: 'head' }, h('strong', null, name), pill(level, state)),
    facts)

const fact = (text, kind = '') => text && h('p', { class: `fact ${kind}` }, text)

const stage = (name, note, ...cards) =>
  h('section', { class: 'stage', 'aria-label': name }, h('h3', null, name, note && h('span', { class: 'note' }, ` ${note}`)), h('ul', null, cards))

function source(answer, measures) {
  const status = answer.status
  const recorder = status.recorder ?? {}
  const connection = (answer.connections ?? []).find((c) => c.name === 'source') ?? {}
  const level = recorder.connected ? 'ok' : 'bad'
  const recorded = measures.rate(['recorded'])
  return stage('Source', null, card('source', level, status.source_server || connection.type || 'redis', recorder.connected ? 'followed' : 'not followed',
    fact(status.source_address || [connection.host, connection.port].filter(Boolean).join(':'), 'place'),
    fact(h('span', null, 'by ', h('b', null, word(recorder.method, 'CAPTURE_METHOD_')))),
    fact(h('span', null, 'guarantee: ', h('b', null, word(recorder.guarantee, 'GUARANTEE_')))),
    recorded !== null && fact(`${rate(recorded)} recorded a second`),
    !recorder.connected && fact(recorder.reason, 'why')))
}

const service = (answer, s, ...facts) => card(`${s.name} ${s.address}`, s.status === 'serving' ? 'ok' : 'bad',
  s.name.replace('applier-', ''), s.status === 'serving' ? 'serving' : 'away',
  fact(s.address, 'place'), facts, s.status !== 'serving' && fact(s.status, 'why'))

function streams(status) {
  const jobs = [...(status.jobs ?? [])].sort((a, b) => Number(b.backlog) - Number(a.backlog))
  const shown = jobs.slice(0, most).sort((a, b) => a.job.localeCompare(b.job))
  const cards = shown.map((job) => {
    const lanes = (status.lanes ?? []).filter((l) => l.lane?.job === job.job)
    const level = job.enabled ? worst(lanes.map(laneLevel)) : 'idle'
    return card(`job ${job.job}`, level, job.job, !job.enabled ? 'disabled' : level === 'bad' ? 'waits' : level === 'ok' ? 'flows' : level === 'warn' ? 'opens' : 'idle',
      fact(h('span', { class: 'big' }, 'backlog ', h('b', null, count(job.backlog)))),
      fact(Number(job.lag_ms) > 0 ? `oldest ${span(job.lag_ms)}` : plural(lanes.length, 'lane')))
  })
  const others = jobs.length - shown.length
  return stage('Change streams', null, cards, others > 0 && h('li', { key: 'others', class: 'station more' }, `and ${plural(others, 'more job')}`))
}

function target(answer, c) {
  const level = targetLevel(answer, c)
  const lanes = ownLanes(answer, c.name)
  const settled = lanes.reduce((n, l) => n + (l.rate ?? 0), 0)
  const fault = lanes.map((l) => l.fault).find((f) => f?.message)
  const place = [c.host && `${c.host}${c.port ? `:${c.port}` : ''}`, c.database].filter(Boolean).join(' / ')
  const exactly = lanes.find((l) => l.delivery && !l.delivery.endsWith('UNSPECIFIED'))
  return card(`target ${c.name}`, level, c.name, { ok: 'connected', bad: 'down', warn: halted(lanes) ? 'waits for you' : 'opening' }[level] ?? 'unused',
    fact(`${c.type} ${place}`.trim(), 'place'),
    level === 'ok' && fact(`${rate(settled)} settled a second`),
    level === 'ok' && exactly && fact(word(exactly.delivery, 'DELIVERY_')),
    level === 'bad' && fault && fact(h('span', null, h('b', null, word(fault.class, 'FAULT_CLASS_')), `: ${fault.message}`), 'why'),
    level === 'idle' && fact(c.status))
}

// showLine draws the stations and what runs between them.
export function showLine(box, answer, measures) {
  const status = answer.status
  const services = answer.services ?? []
  const captures = services.filter((s) => s.name === 'capture')
  const transformers = services.filter((s) => s.name === 'transformer')
  const appliers = services.filter((s) => s.name.startsWith('applier-') && inUse(answer, s))
  const written = targets(answer).sort((a, b) => applierOf(a).localeCompare(applierOf(b)) || a.name.localeCompare(b.name)) // so that no lines cross
  patch(box.querySelector('.stages'),
    source(answer, measures),
    stage('Capture', null, captures.map((s) => service(answer, s, captures.length === 1 && status.recorder?.owner && fact('records and reads')))),
    streams(status),
    stage('Transformer', null, transformers.map((s) => service(answer, s))),
    stage('Appliers', null, appliers.map((s) => service(answer, s))),
    stage('Targets', null, written.map((c) => target(answer, c))))
  const idle = services.filter((s) => !inUse(answer, s))
  patch(box.querySelector('.others'), idle.length > 0 && [
    h('span', null, 'Not in use: '),
    idle.map((s) => h('span', { key: s.name + s.address, class: 'other' }, `${s.name.replace('applier-', '')} (${s.status === 'serving' ? 'serving' : 'away'})`)),
  ])
  draw(box, edges(status, measures, captures, transformers, appliers, written, answer))
}

// edges are what runs from where to where, and how it fares.
function edges(status, measures, captures, transformers, appliers, written, answer) {
  const out = []
  const add = (from, to, level, flows) => out.push({ from, to, level, flows })
  const name = (s) => `${s.name} ${s.address}`
  for (const s of captures) {
    const level = s.status === 'serving' && status.recorder?.connected ? 'ok' : 'bad'
    add('source', name(s), level, level === 'ok' && measures.rate(['recorded']) > 0)
    for (const job of status.jobs ?? []) add(name(s), `job ${job.job}`, job.enabled ? level : 'idle', measures.rate([`job ${job.job}`]) > 0)
  }
  for (const s of transformers) {
    for (const job of status.jobs ?? []) {
      const lanes = (status.lanes ?? []).filter((l) => l.lane?.job === job.job)
      add(`job ${job.job}`, name(s), s.status === 'serving' ? worst(lanes.map(laneLevel)) : 'bad', measures.rate([`job ${job.job}`]) > 0)
    }
    for (const a of appliers) {
      const fed = written.filter((c) => applierOf(c) === a.name)
      const lanes = fed.flatMap((c) => ownLanes(answer, c.name))
      add(name(s), name(a), a.status === 'serving' ? worst(lanes.map(laneLevel)) : 'bad', lanes.some((l) => l.rate > 0))
    }
  }
  for (const c of written) {
    const a = appliers.find((s) => s.name === applierOf(c))
    if (a) add(name(a), `target ${c.name}`, targetLevel(answer, c), ownLanes(answer, c.name).some((l) => l.rate > 0))
  }
  return out
}

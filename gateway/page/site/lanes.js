// The lanes, by job and target: what each does, where it stands, and what it waits for.

import { h, patch, pill, table } from './view.js'
import { count, id, plural, rate, sentence, span, time, word } from './format.js'
import { laneLevel, laneWord } from './verdict.js'
import { sum } from './measure.js'

// showLanes shows a group for each job and target. Where there are many, or little room, only groups that wait are open.
export function showLanes(box, status) {
  const groups = new Map()
  for (const lane of status.lanes ?? []) {
    const name = `${lane.lane.job} → ${lane.lane.connection}`
    groups.set(name, [...(groups.get(name) ?? []), lane])
  }
  if (groups.size === 0) {
    patch(box, h('p', { class: 'none' }, 'No lane is open.'))
    return
  }
  patch(box, [...groups].map(([name, lanes]) => group(name, lanes, status, (groups.size <= 3 && window.innerWidth > 900) || lanes.some((l) => laneLevel(l) === 'bad'))))
}

function group(name, lanes, status, open) {
  const states = new Map()
  for (const lane of lanes) {
    const word = laneWord(lane)
    states.set(word, { level: laneLevel(lane), lanes: [...(states.get(word)?.lanes ?? []), lane] })
  }
  const faults = new Map()
  for (const lane of lanes) {
    if (lane.fault?.message) faults.set(lane.fault.message, lane)
  }
  const busy = lanes.filter((l) => l.rate > 0)
  return h('details', { key: name, class: 'group', open },
    h('summary', null,
      h('strong', { class: 'name' }, name),
      h('span', { class: 'states' }, [...states].map(([word, s]) => pill(s.level, lanes.length === s.lanes.length ? `${plural(lanes.length, 'lane')} ${word}` : `${s.lanes.length} ${word}`))),
      h('span', { class: 'sums' },
        h('span', null, 'backlog ', h('b', null, count(sum(lanes, (l) => l.backlog)))),
        h('span', null, h('b', null, rate(sum(lanes, (l) => l.rate))), ' a second'),
        h('span', null, 'p99 ', h('b', null, busy.length ? span(Math.max(...busy.map((l) => l.latency_p99_ms))) : '–')))),
    [...faults.values()].map((l) => reason(l, status)),
    table(`Lanes of ${name}`, ['Partition', 'State', 'Position', '#Backlog', '#Lag', '#A second', '#p50', '#p99', '#Commit', 'Held by', 'Since'],
      lanes.map((l) => ({
        key: `${l.lane.layout} ${l.lane.shard} ${l.lane.partition}`,
        cells: [
          `${l.lane.partition} of ${l.lane.layout}${l.lane.shard ? ` on ${l.lane.shard}` : ''}`,
          pill(laneLevel(l), laneWord(l)),
          h('code', null, id(l.position?.main), Number(l.position?.side?.ms) ? ` + ${id(l.position.side)}` : ''),
          count(l.backlog),
          Number(l.lag_ms) > 0 ? span(l.lag_ms) : '–',
          rate(l.rate),
          l.rate > 0 ? span(l.latency_p50_ms) : '–',
          l.rate > 0 ? span(l.latency_p99_ms) : '–',
          l.commit_ms > 0 ? span(l.commit_ms) : '–',
          l.owner ? h('span', { class: 'owner', title: l.owner }, l.owner) : 'nobody',
          time(l.since_ms),
        ],
      }))))
}

// reason is what lanes wait for.
function reason(lane, status) {
  const f = lane.fault
  const since = Number(lane.since_ms) ? ` for ${span(Number(status.read_ms) - Number(lane.since_ms))}` : ''
  return h('div', { key: `why ${f.message}`, class: `why ${laneLevel(lane)}` },
    h('p', null, h('b', null, `${laneWord(lane)}${since}, ${word(f.class, 'FAULT_CLASS_')}: `), sentence(f.message), f.code && h('code', null, ` ${f.code}`)),
    f.fix && h('p', { class: 'fix' }, h('b', null, 'What to do: '), f.fix),
    f.stage && h('p', { class: 'muted' }, `said by ${f.stage}`))
}

// Rejected records: why, where, with which data; and the way back on the line.

import { h, patch } from './view.js'
import { count, plural, pretty, sentence, text, time, word } from './format.js'
import { get, post } from './api.js'
import { confirm, note, said } from './dialog.js'
import { sum } from './measure.js'

const most = 25 // entries of each job that are shown

export class Rejected {
  streams = []
  known = null // what the status said when they were read
  asked = false

  constructor(box) {
    this.box = box
    this.show()
  }

  // follow reads the dead letters when their number changes, or when told to.
  async follow(status, anyway = false) {
    const said = JSON.stringify((status.jobs ?? []).map((j) => [j.job, j.dead_letters, j.counts?.rejected]))
    if ((said === this.known && !anyway) || this.asked) return
    this.asked = true
    try {
      const answer = await get(`/rejected?max_records=${most}`)
      this.streams = (answer.streams ?? []).filter((s) => Number(s.length) > 0)
      this.known = said
      this.show()
    } catch {
      // the next status asks again; that the gateway is away is said elsewhere
    } finally {
      this.asked = false
    }
  }

  show() {
    if (this.streams.length === 0) {
      patch(this.box, h('p', { class: 'none' }, 'No record is rejected.'))
      return
    }
    patch(this.box, this.streams.map((s) => h('section', { key: s.name, class: 'letters', 'aria-label': `Rejected records of ${s.job}` },
      h('header', null,
        h('h3', null, h('span', { class: 'name' }, s.job), ' ', h('span', { class: 'muted' }, plural(s.length, 'record'))),
        h('button', { type: 'button', onclick: () => this.replay(s) }, Number(s.length) === 1 ? 'Replay' : `Replay all ${count(s.length)}`)),
      s.entries.map((e) => this.entry(s, e)),
      Number(s.length) > s.entries.length && h('p', { class: 'muted' }, `The newest ${s.entries.length} are shown.`))))
  }

  entry(stream, e) {
    const r = e.reject ?? {}
    const key = text(r.key)
    const where = [r.connection, r.table, r.column].filter(Boolean).join(' · ')
    const record = text(r.record)
    const transformed = text(r.transformed)
    return h('article', { key: e.id, class: 'letter' },
      h('div', { class: 'head' },
        h('code', { class: 'key' }, key || '(no key)'),
        h('span', { class: 'muted' }, time(e.timestamp_ms)),
        h('button', { type: 'button', class: 'small', 'aria-label': `Replay ${key}`, onclick: () => this.replay(stream, e, key) }, 'Replay')),
      h('p', { class: 'reason' }, r.reason || 'the reason is not shown'),
      e.withheld?.length > 0 && h('p', { class: 'muted withheld' }, withheld(e)),
      h('dl', null,
        pair('said by', [r.error_class, r.code].filter(Boolean).join(' ')),
        pair(r.block ? 'block' : 'writer', r.block || r.writer),
        pair('target', where),
        pair('operation', [r.opcode, r.command].filter(Boolean).join(' ')),
        pair('tried', Number(r.attempts) > 1 ? plural(r.attempts, 'time') : '')),
      (record || transformed) && h('details', null, h('summary', null, 'Data'),
        h('div', { class: 'pair' },
          record && h('figure', null, h('figcaption', null, 'as captured'), h('pre', { tabindex: 0 }, pretty(record))),
          transformed && h('figure', null, h('figcaption', null, 'after the transformations'), h('pre', { tabindex: 0 }, pretty(transformed))))))
  }

  // replay puts one entry back on the line, or all of a stream.
  async replay(stream, entry, key) {
    const answer = await confirm({
      title: entry ? `Replay ${key}?` : `Replay ${plural(stream.length, 'record')} of ${stream.job}?`,
      text: 'The key is read again and its current value is written. What fails again comes back here.',
      action: 'Replay',
      choice: 'Write the value as it was recorded, where nothing newer has been written',
    })
    if (!answer) return
    try {
      const body = { job: stream.job, dlq_name: stream.name, as_recorded: answer.chosen }
      if (entry) body.ids = [entry.id]
      const { streams } = await post('/replay', body)
      const back = sum(streams ?? [], (s) => s.replayed)
      const stay = (streams ?? []).flatMap((s) => s.kept ?? [])
      const reasons = [...new Set(stay.map((k) => k.reason))].join('; ')
      note(stay.length ? 'warn' : 'ok',
        `${plural(back, 'record is', 'records are')} back on the line.${stay.length ? ` ${plural(stay.length, 'stays', 'stay')}: ${reasons}.` : ''}`)
    } catch (refused) {
      note('bad', said(refused))
    }
    this.known = null
  }
}

// withheld says what is not shown of a dead letter, and why (dlq_payload).
function withheld(e) {
  const names = { record: 'the record', transformed: 'the record after the transformations', reason_rejected: 'the reason' }
  const what = e.withheld.map((n) => names[n] ?? n.replaceAll('_', ' ')).join(', ')
  if (word(e.payload, 'DEAD_LETTER_PAYLOAD_') === 'omit') return `Not kept (dlq_payload: omit): ${what}.`
  return e.payload_trouble ? `Sealed (dlq_payload: encrypt) and not to be opened: ${what}; ${sentence(e.payload_trouble)}`
    : `Sealed (dlq_payload: encrypt), and shown to operators only: ${what}.`
}

const pair = (name, value) => value && h('div', null, h('dt', null, name), h('dd', null, value))

// One record followed through the blocks: before, after each, the statements with their values, and what became of it.

import { byId, h, patch, pill } from './view.js'
import { compare, plural, pretty, span, text, time } from './format.js'
import { stream } from './api.js'

const steps = {
  EVENT: 'Event', RECORDED: 'Recorded', CAPTURED: 'Captured', RECEIVED: 'Sent on', JOB: 'Job', BEFORE: 'Before', BLOCK: 'Block', AFTER: 'After',
  FILTERED: 'Filtered', STATEMENT: 'Statement', RESULT: 'Durable', REJECTED: 'Rejected', INTERRUPTED: 'Interrupted', COMPLETED: 'Completed',
  UNSHOWN: 'Not shown',
}

export class Trace {
  records = new Map()
  control = null

  constructor() {
    this.form = byId('follow')
    this.form.onsubmit = (event) => {
      event.preventDefault()
      if (this.control) this.control.abort()
      else this.run()
    }
  }

  // offer lists the jobs that can be chosen.
  offer(jobs) {
    patch(this.form.elements.job, h('option', { value: '' }, 'all jobs'), jobs.map((j) => h('option', { key: j.name, value: j.name }, j.name)))
  }

  async run() {
    const { keys, job, records, seconds, rejected } = this.form.elements
    const asked = new URLSearchParams({ max_change_records: records.value, timeout_ms: Math.round(Number(seconds.value) * 1000) })
    if (keys.value) asked.set('keys', keys.value)
    if (job.value) asked.set('job', job.value)
    if (rejected.checked) asked.set('only_rejected', 'true')
    this.control = new AbortController()
    this.records.clear()
    this.show()
    this.say('Asking the gateway …')
    this.form.querySelector('button').textContent = 'Stop'
    try {
      for await (const one of stream(`/trace?${asked}`, this.control.signal)) this.take(one)
    } catch (refused) {
      this.say(this.control.signal.aborted ? 'Stopped.' : `It cannot be followed: ${refused.message}.`)
    }
    this.control = null
    this.form.querySelector('button').textContent = 'Follow'
  }

  take(one) {
    if (one.started) {
      this.say(`Following on ${plural(one.started.instances.length, 'instance')} for ${span(one.started.timeout_ms)}: the next changes show here.`)
    } else if (one.stage) {
      const key = String(one.stage.record)
      this.records.set(key, [...(this.records.get(key) ?? []), one.stage])
      this.show()
    } else if (one.summary) {
      const s = one.summary
      const parts = [[s.settled, 'settled'], [s.filtered, 'filtered'], [s.rejected, 'rejected'], [s.unfinished, 'unfinished']]
        .filter(([n]) => Number(n) > 0).map(([n, w]) => `${n} ${w}`)
      this.say(Number(s.records) === 0 ? 'No change came in that time.'
        : `${plural(s.records, 'record')}: ${parts.join(', ')}.${s.latency_max_ms > 0 ? ` Event to commit: ${[...new Set([span(s.latency_min_ms), span(s.latency_max_ms)])].join(' to ')}.` : ''}`)
    }
  }

  say(words) {
    patch(byId('follow-state'), words)
  }

  show() {
    patch(byId('followed'), [...this.records].map(([number, stages]) => record(number, stages)))
  }
}

const step = (s) => s.step.replace('TRACE_STEP_', '')

function record(number, stages) {
  const has = (name) => stages.find((s) => step(s) === name)
  const last = has('RESULT') ?? has('REJECTED') ?? has('COMPLETED')
  const [level, word] = has('REJECTED') ? ['bad', 'rejected'] : has('INTERRUPTED') ? ['warn', 'interrupted'] : has('FILTERED') ? ['idle', 'filtered']
    : has('RESULT') ? ['ok', `settled in ${span(last.elapsed_ms)}`] : ['warn', 'under way']
  let before = null
  return h('article', { key: number, class: 'record', 'aria-label': `Record ${number}` },
    h('header', null,
      h('code', { class: 'key' }, text(stages.find((s) => s.key)?.key)),
      h('span', { class: 'muted' }, `${stages[0].job} → ${stages[0].connection}`),
      pill(level, word)),
    h('ol', null, stages.map((s, i) => {
      const document = text(s.document)
      const shown = document ? pretty(document) : null
      const lines = shown === null ? null : compare(before ?? shown, shown)
      const same = lines !== null && before !== null && lines.every((l) => l.mark === '')
      if (shown !== null && step(s) !== 'CAPTURED') before = shown
      return h('li', { key: i, class: `step ${step(s).toLowerCase()}` },
        h('div', { class: 'head' },
          h('strong', null, steps[step(s)] ?? step(s)),
          h('span', { class: 'said' }, s.text),
          Number(s.at_ms) > 0 && h('time', { title: time(s.at_ms) }, Number(s.elapsed_ms) === 0 ? time(s.at_ms) : `+${span(s.elapsed_ms)}`)),
        lines && (same ? h('p', { class: 'muted' }, 'as before') : h('pre', { tabindex: 0 }, lines.map((l) =>
          h('span', { class: { '+': 'added', '-': 'removed' }[l.mark] ?? 'same' }, `${l.mark || ' '} ${l.line}`)))),
        s.statement && h('pre', { class: 'sql', tabindex: 0 }, s.statement))
    })))
}

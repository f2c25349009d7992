// What the state of the pipeline comes to, in one sentence.

import { plural, sentence, span, word } from './format.js'
import { sum } from './measure.js'

export const laneWord = (lane) => word(lane.state, 'LANE_STATE_')
export const laneLevel = (lane) =>
  ({ running: 'ok', draining: 'ok', waiting: 'bad', stopped: 'bad', opening: 'warn' })[laneWord(lane)] ?? 'idle'

// targets are the connections that lanes write to.
export const targets = (answer) => (answer.connections ?? []).filter((c) => c.name !== 'source' && c.name !== 'streams')

export const ownLanes = (answer, connection) => (answer.status?.lanes ?? []).filter((l) => l.lane?.connection === connection)

// halted says whether lanes have stopped by themselves, until somebody starts them again. It is no fault of their target.
export const halted = (lanes) => (lanes ?? []).some((l) => laneWord(l) === 'stopped')

// targetLevel says how a connection fares.
export function targetLevel(answer, connection) {
  if (connection.status === 'connected') return 'ok'
  const lanes = ownLanes(answer, connection.name)
  if (lanes.length === 0) return 'idle'
  if (lanes.some((l) => l.fault?.message && laneWord(l) !== 'stopped')) return 'bad'
  if (halted(lanes)) return 'warn'
  return answer.status.running ? 'warn' : 'idle'
}

// applierOf is the service that writes to a connection.
export const applierOf = (connection) => `applier-${connection.type}`

// inUse tells whether the line needs a service.
export function inUse(answer, service) {
  return !service.name.startsWith('applier-') || targets(answer).some((c) => applierOf(c) === service.name)
}

// mending is the sweep that will bring a stale job in line, where one is queued or under way.
export function mending(answer, stale) {
  return (answer.status?.sweeps ?? []).find((s) => s.job === stale.job && !Number(s.settled_ms) &&
    Math.max(Number(s.generation), Number(s.after)) >= Number(stale.generation))
}

// staleWord says what becomes of a stale job.
export const staleWord = (answer, stale) => (mending(answer, stale) || (stale.resync && !stale.sweep) ? 'being resynced' : 'needs a resync')

const again = 'Nothing is lost: changes are kept, and it goes on by itself.'

// verdict is {level, text, more, fix}.
export function verdict(answer) {
  const status = answer.status ?? {}
  const lanes = status.lanes ?? []
  const services = answer.services ?? []
  const captures = services.filter((s) => s.name === 'capture')
  if (captures.length > 0 && captures.every((s) => s.status !== 'serving')) {
    return { level: 'bad', text: 'Capture does not answer', more: `${captures[0].address}: ${captures[0].status}` }
  }
  const recorder = status.recorder ?? {}
  if (!recorder.connected && recorder.reason) {
    return { level: 'bad', text: 'The source is not followed', more: `${recorder.reason}.` }
  }
  if (!status.running) {
    return { level: 'idle', text: 'The pipeline is stopped', more: 'Changes are recorded; none is written until it is started.' }
  }
  const down = targets(answer).filter((c) => targetLevel(answer, c) === 'bad')
  if (down.length > 0) {
    const waiting = ownLanes(answer, down[0].name).filter((l) => l.fault?.message)
    const fault = waiting[0].fault
    const since = Math.max(0, Number(status.read_ms) - Math.min(...waiting.map((l) => Number(l.since_ms) || Number(status.read_ms))))
    const names = down.map((c) => c.name).join(', ')
    return {
      level: 'bad',
      text: `${names} ${down.length === 1 ? 'is' : 'are'} not written to`,
      more: `${plural(waiting.length, 'lane waits', 'lanes wait')} for ${span(since)}: ${sentence(fault.message)} ${again}`,
      fix: fault.fix,
    }
  }
  const silent = services.filter((s) => s.status !== 'serving' && inUse(answer, s))
  if (silent.length > 0) {
    return { level: 'bad', text: `${silent[0].name} does not answer`, more: `${silent[0].address}: ${sentence(silent[0].status)} ${again}` }
  }
  const stopped = lanes.filter((l) => laneWord(l) === 'stopped')
  if (stopped.length > 0) {
    const fault = stopped[0].fault ?? {}
    return { level: 'bad', text: `${plural(stopped.length, 'lane needs', 'lanes need')} you`, more: sentence(fault.message), fix: fault.fix }
  }
  const opening = lanes.filter((l) => laneWord(l) !== 'running' && laneWord(l) !== 'draining')
  if (lanes.length > 0 && opening.length > 0) {
    return { level: 'warn', text: 'Lanes are being opened', more: `${opening.length} of ${lanes.length} do not run yet.` }
  }
  if (lanes.length === 0) return { level: 'idle', text: 'No lane is open', more: 'No job is deployed, or none is enabled.' }
  return remarks(answer) ?? {
    level: 'ok', text: 'All is well', more: `${plural(lanes.length, 'lane runs', 'lanes run')}, nothing waits, nothing is rejected.`,
  }
}

// remarks are what somebody should know of a line whose lanes all run, what is graver first; null where there is nothing.
function remarks(answer) {
  const status = answer.status
  const rejected = sum(status.jobs ?? [], (j) => j.dead_letters)
  const gaps = (status.gaps ?? []).filter((g) => !Number(g.repaired_ms))
  const stale = answer.stale ?? []
  const needy = stale.filter((s) => staleWord(answer, s) === 'needs a resync')
  const all = []
  if (rejected > 0) {
    all.push({
      text: plural(rejected, 'record is rejected', 'records are rejected'),
      more: 'The reasons are below. Their neighbours are written; all lanes run.',
    })
  }
  if (gaps.length > 0) {
    all.push({ text: plural(gaps.length, 'gap is being repaired', 'gaps are being repaired'), more: 'Changes may have been missed; the keys are read again.' })
  }
  if (needy.length > 0) {
    const names = needy.map((s) => s.job)
    all.push({
      text: plural(needy.length, 'job needs a resync', 'jobs need a resync'),
      more: `Rows of keys that do not change keep what ${names.join(', ')} meant before.`,
      fix: `Resync below, or slipstream resync ${names.join(' ')}.`,
    })
  }
  if (stale.length > needy.length) {
    all.push({ text: plural(stale.length - needy.length, 'job is being resynced', 'jobs are being resynced'), more: 'Rows are brought in line with what was deployed.' })
  }
  if (all.length === 0) return null
  return { level: 'warn', text: all.map((r) => r.text).join(', '), more: all.map((r) => r.more).join(' '), fix: all.map((r) => r.fix).find(Boolean) }
}

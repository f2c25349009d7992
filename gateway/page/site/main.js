// The page: asks the gateway, and shows what it answers.

import { byId, h, patch, pill } from './view.js'
import { count, plural, rate, span, time } from './format.js'
import { mayShowToken, pipeline, post, setToken, token } from './api.js'
import { watch } from './watch.js'
import { Choice } from './choice.js'
import { latency, Measures } from './measure.js'
import { spark } from './spark.js'
import { halted, verdict } from './verdict.js'
import { showLine } from './line.js'
import { follow } from './edges.js'
import { showLanes } from './lanes.js'
import { showJobs } from './jobs.js'
import { showStale } from './stale.js'
import { showGaps, showSweeps } from './repair.js'
import { Rejected } from './rejected.js'
import { Trace } from './trace.js'
import { confirm, note, prepare, said } from './dialog.js'

const measures = new Measures()
const rejected = new Rejected(byId('rejected-list'))
const trace = new Trace()
const choice = new Choice(byId('choice'))
let shown = null

function onStatus(answer) {
  shown = answer
  const status = answer.status
  measures.take(status)
  byId('ask').hidden = true
  byId('content').hidden = false
  byId('content').classList.remove('old')
  head(answer)
  say(verdict(answer))
  tiles(status)
  showLine(byId('line'), answer, measures)
  showLanes(byId('lanes-list'), status)
  showStale(byId('stale-list'), answer)
  showJobs(byId('jobs-list'), answer, measures, (jobs) => trace.offer(jobs))
  showGaps(byId('gaps-list'), status)
  showSweeps(byId('sweeps-list'), status)
  rejected.follow(status)
  choice.follow()
}

// runs says whether there is something to stop, and nothing to start.
const runs = (status) => status.running && !halted(status.lanes)

function head(answer) {
  const status = answer.status
  document.title = `${status.pipeline} – Slipstream`
  patch(byId('which'), choice.others === 0 && h('strong', null, status.pipeline), ` generation ${status.generation}`)
  patch(byId('live'), pill('ok', 'live'), h('span', { class: 'muted' }, ` ${time(status.read_ms)}`))
  patch(byId('version'), `Slipstream ${answer.version}`)
  const button = byId('switch')
  button.hidden = false
  patch(button, runs(status) ? 'Stop' : 'Start')
  const letters = (status.jobs ?? []).reduce((n, j) => n + Number(j.dead_letters), 0)
  patch(byId('rejected-count'), letters > 0 && h('span', { class: 'badge' }, count(letters)))
}

// say shows a verdict. It is read out when it becomes another, not when its numbers change.
function say(v) {
  const box = byId('verdict')
  box.className = `verdict ${v.level}`
  patch(box.querySelector('h1 span'), v.text)
  patch(byId('verdict-more'), v.more, v.fix && h('span', { class: 'fix' }, h('b', null, ' What to do: '), v.fix))
}

function tiles(status) {
  const jobs = status.jobs ?? []
  const delay = latency(status.lanes)
  const backlog = measures.curves.backlog.at(-1) ?? 0
  const oldest = measures.curves.lag.at(-1) ?? 0
  const letters = measures.curves.rejected.at(-1) ?? 0
  const tile = (name, value, unit, more, least, what) => h('div', { key: name, class: 'tile', id: `tile-${name}` },
    h('h3', null, what), h('p', { class: 'value' }, value, unit && h('span', { class: 'unit' }, ` ${unit}`)), h('p', { class: 'muted' }, more),
    spark(measures.curves[name], `${what}, the last two minutes`, least))
  patch(byId('tiles'),
    tile('rate', rate(measures.rate(jobs.map((j) => `job ${j.job}`))), 'a second', `${count(jobs.reduce((n, j) => n + Number(j.counts?.changes ?? 0), 0))} in all`, 10, 'Changes settled'),
    tile('latency', span(delay?.p99), 'p99', delay ? `median ${span(delay.p50)}, slowest lane` : 'nothing was settled just now', 20, 'From change to commit'),
    tile('backlog', count(backlog), '', 'entries not settled', 100, 'Backlog'),
    tile('lag', oldest > 0 ? span(oldest) : '0 s', '', 'age of the oldest of them', 1000, 'Lag'),
    tile('rejected', count(letters), '', letters > 0 ? h('a', { href: '#rejected' }, 'see why') : 'in the dead letters', 5, 'Rejected'))
}

// onLost says that there is no status, and why.
function onLost(refused, waiting) {
  patch(byId('live'), pill('bad', 'lost'))
  if (refused.status === 401 || refused.status === 403) {
    askToken(refused)
    return
  }
  if (refused.status !== 0) byId('ask').hidden = true
  byId('content').classList.add('old')
  const next = `Next try in ${span(waiting)}.`
  if (refused.status === 404) {
    choice.follow()
    const others = choice.others > 0 ? ` ${plural(choice.others, 'other is', 'others are')} deployed: choose at the top.` : ''
    say({ level: 'idle', text: `There is no pipeline “${pipeline}” yet`, more: `${refused.message}.${others} Deploy one: slipstream deploy --dir DIR. ${next}` })
  } else if (refused.status === 0) {
    say({ level: 'bad', text: 'The gateway does not answer', more: `${shown ? `What is shown was read at ${time(shown.status.read_ms)}. The line goes on without the gateway.` : ''} ${next}` })
  } else {
    say({ level: 'bad', text: 'The gateway cannot tell', more: `${refused.message}. ${next}` })
  }
}

function askToken(refused) {
  byId('content').hidden = true
  byId('switch').hidden = true
  byId('ask').hidden = false
  const clear = !mayShowToken()
  say({ level: 'idle', text: 'Who are you?', more: token() ? `${refused.message}.` : 'The gateway asks for a token.' })
  patch(byId('ask-note'), clear ? 'This page came in the clear from another machine: a token would be read on the way. Serve it over TLS, or come through a tunnel.'
    : 'It is kept in this tab until it is closed, and sent to this gateway alone.')
  byId('ask').querySelector('button').disabled = clear
  byId('ask').querySelector('input').disabled = clear
}

async function toggleRunning() {
  const running = runs(shown.status)
  const answer = await confirm(running
    ? { title: 'Stop the pipeline?', text: 'Lanes finish what is under way and stop. Changes are recorded on, and written when it is started again.', action: 'Stop' }
    : { title: 'Start the pipeline?', text: 'Lanes go on from where they stopped.', action: 'Start' })
  if (!answer) return
  try {
    const { generation } = await post(running ? '/stop' : '/start', {})
    note('ok', running ? `Generation ${generation} stops.` : `Generation ${generation} starts.`)
  } catch (refused) {
    note('bad', said(refused))
  }
}

// theme goes from that of the system to light, dark, and back.
const themes = ['system', 'light', 'dark']
function theme(next) {
  const chosen = next ?? localStorage.getItem('slipstream-theme') ?? 'system'
  if (chosen === 'system') delete document.documentElement.dataset.theme
  else document.documentElement.dataset.theme = chosen
  localStorage.setItem('slipstream-theme', chosen)
  const button = byId('theme')
  patch(button, { system: 'Auto', light: 'Light', dark: 'Dark' }[chosen])
  button.setAttribute('aria-label', `Colours: ${chosen}`)
  button.onclick = () => theme(themes[(themes.indexOf(chosen) + 1) % themes.length])
}

prepare()
theme()
follow(byId('line'))
const again = watch({ status: onStatus, lost: onLost })
byId('switch').onclick = toggleRunning
byId('ask').onsubmit = (event) => {
  event.preventDefault()
  const field = byId('ask').querySelector('input')
  setToken(field.value.trim())
  field.value = ''
  again()
}

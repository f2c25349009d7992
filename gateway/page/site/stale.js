// Jobs whose meaning changed since rows were written: what changed, and the resync that brings the rows in line.

import { h, patch } from './view.js'
import { sentence, time } from './format.js'
import { post } from './api.js'
import { confirm, note, said } from './dialog.js'
import { mending, staleWord } from './verdict.js'

export function showStale(box, answer) {
  patch(box, (answer.stale ?? []).map((s) => {
    const sweep = mending(answer, s)
    const word = staleWord(answer, s)
    return h('div', { key: s.job, class: 'why warn stale' },
      h('div', { class: 'head' },
        h('p', null, h('b', null, `${s.job} ${word === 'needs a resync' ? word : `is ${word}`}: `),
          `since ${time(s.since_ms)} rows of keys that do not change keep the meaning from before generation ${s.generation}.`),
        word === 'needs a resync' && h('button', { type: 'button', class: 'small', 'aria-label': `Resync ${s.job}`, onclick: resyncer(s) }, 'Resync')),
      (s.changes ?? []).map((c, i) => h('p', { key: i, class: 'change' }, h('code', null, c.path), ` ${sentence(c.message)}`, c.stays && ` What stays: ${sentence(c.stays)}`)),
      sweep?.waits && h('p', { class: 'muted' }, `Its sweep waits: ${sentence(sweep.waits)}`),
      s.caution && h('p', { class: 'fix' }, h('b', null, 'Take care: '), sentence(s.caution)))
  }))
}

// A handler stays the same while what it asks does.
const resyncers = new Map()
function resyncer(stale) {
  const name = `${stale.job} ${stale.caution}`
  if (!resyncers.has(name)) resyncers.set(name, () => resync(stale))
  return resyncers.get(name)
}

async function resync(stale) {
  const answer = await confirm({
    title: `Resync ${stale.job}?`,
    text: `All its keys are read again, in the background, and their rows are written; none is deleted. ${stale.caution ? `Take care: ${sentence(stale.caution)}` : ''}`,
    action: 'Resync',
  })
  if (!answer) return
  try {
    const { sweeps } = await post('/resync', { jobs: [stale.job] })
    const refused = (sweeps ?? []).find((s) => !s.id)
    note(refused ? 'warn' : 'ok', refused ? `${stale.job} is not read again: ${sentence(refused.reason)}` : `${stale.job} is read again; how far it is, the sweeps tell.`)
  } catch (refused) {
    note('bad', said(refused))
  }
}

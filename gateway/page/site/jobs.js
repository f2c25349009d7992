// The jobs of the generation deployed last, with their totals; and one of them as its file has it.

import { byId, h, patch, pill, table } from './view.js'
import { count, rate, span, time } from './format.js'
import { get } from './api.js'
import { note } from './dialog.js'
import { staleWord } from './verdict.js'

let compiled = new Map()
let generation = null

// showJobs shows the totals of each job. What is compiled is asked for once a generation.
export function showJobs(box, answer, measures, asking) {
  const status = answer.status
  const stale = new Map((answer.stale ?? []).map((s) => [s.job, s]))
  if (status.generation !== generation) {
    generation = status.generation
    get('/jobs').then((answer) => {
      compiled = new Map((answer.jobs ?? []).map((j) => [j.name, j]))
      asking(answer.jobs ?? [])
    }).catch(() => { generation = null }) // the next status asks again
  }
  const jobs = status.jobs ?? []
  if (jobs.length === 0) {
    patch(box, h('p', { class: 'none' }, 'No job is deployed.'))
    return
  }
  patch(box, table('Jobs', ['Job', 'State', 'Keys', 'Writes to', '#A second', '#Changes', '#Inserted', '#Updated', '#Deleted', '#Filtered', '#Rejected', '#Lag', 'Last change', ''],
    jobs.map((job) => {
      const own = compiled.get(job.job)
      const n = job.counts ?? {}
      return {
        key: job.job,
        cells: [
          h('strong', { class: 'name' }, job.job),
          stale.has(job.job) ? pill('warn', staleWord(answer, stale.get(job.job))) : job.enabled ? pill('ok', 'enabled') : pill('idle', 'disabled'),
          h('code', null, own?.source?.stream ? `stream ${own.source.stream}` : own?.source?.key_pattern || '–'),
          places(own),
          rate(measures.rate([`job ${job.job}`])),
          count(n.changes), count(n.inserted), count(n.updated), count(n.deleted), count(n.filtered), count(n.rejected),
          Number(job.lag_ms) > 0 ? span(job.lag_ms) : '–',
          time(job.last_arrival_ms),
          h('button', { type: 'button', class: 'small', 'aria-label': `Show the file of ${job.job}`, onclick: describer(job.job) }, 'File'),
        ],
      }
    })))
}

const places = (job) => [...new Set((job?.outputs ?? []).map((o) =>
  [o.connection, o.relational?.schema, o.relational?.table].filter(Boolean).join('.')))].join(', ') || '–'

// A handler stays the same from one status to the next, so that nothing is set anew.
const describers = new Map()
function describer(job) {
  if (!describers.has(job)) describers.set(job, () => describe(job))
  return describers.get(job)
}

async function describe(job) {
  try {
    const answer = await get(`/jobs/${encodeURIComponent(job)}`)
    const box = byId('file')
    patch(box.querySelector('h2'), answer.job?.file || job)
    patch(box.querySelector('pre'), answer.yaml)
    box.showModal()
  } catch (refused) {
    note('bad', `The file of ${job} cannot be shown: ${refused.message}`)
  }
}

// Rates and their history, from successive statuses.

const kept = 120 // points of a curve: two minutes
const over = 4000 // a rate is taken over so many milliseconds

export class Measures {
  samples = [] // the last ones: when, and the totals by name
  curves = { rate: [], latency: [], backlog: [], lag: [], rejected: [] }

  // take reads a status. What is older than the last one is passed over: of two instances one may answer late.
  take(status) {
    const at = Number(status.read_ms)
    const last = this.samples.at(-1)
    if (last && at <= last.at) return
    if (last && at - last.at > 15000) this.forget() // nobody looked: there is no line between the points
    const totals = new Map([['recorded', Number(status.recorder?.recorded ?? 0)]])
    for (const job of status.jobs ?? []) totals.set(`job ${job.job}`, Number(job.counts?.changes ?? 0))
    this.samples.push({ at, totals })
    while (this.samples.length > 2 && at - this.samples[1].at >= over) this.samples.shift()
    const jobs = status.jobs ?? []
    const rate = this.rate(jobs.map((j) => `job ${j.job}`))
    if (rate !== null) this.push('rate', rate)
    this.push('latency', latency(status.lanes)?.p99 ?? 0)
    this.push('backlog', sum(jobs, (j) => j.backlog))
    this.push('lag', Math.max(0, ...jobs.map((j) => Number(j.lag_ms ?? 0))))
    this.push('rejected', sum(jobs, (j) => j.dead_letters))
  }

  push(name, value) {
    const curve = this.curves[name]
    curve.push(value)
    if (curve.length > kept) curve.shift()
  }

  forget() {
    this.samples = []
    for (const curve of Object.values(this.curves)) curve.length = 0
  }

  // rate is how fast totals grow together, a second; null until there are two samples. A total that fell began anew.
  rate(names) {
    if (this.samples.length < 2) return null
    const from = this.samples[0]
    const to = this.samples.at(-1)
    let grown = 0
    for (const name of names) {
      if (from.totals.has(name)) grown += Math.max(0, (to.totals.get(name) ?? 0) - from.totals.get(name))
    }
    return (grown * 1000) / (to.at - from.at)
  }
}

export const sum = (list, of) => list.reduce((n, one) => n + Number(of(one) ?? 0), 0)

// latency is that of the slowest lane that has settled something lately; null where none has.
export function latency(lanes) {
  const busy = (lanes ?? []).filter((l) => l.rate > 0)
  if (busy.length === 0) return null
  return { p50: Math.max(...busy.map((l) => l.latency_p50_ms)), p99: Math.max(...busy.map((l) => l.latency_p99_ms)) }
}

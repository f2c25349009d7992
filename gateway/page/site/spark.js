// A curve of the last two minutes, small enough for a tile.

import { h } from './view.js'

const width = 200
const height = 40
const points = 120

// spark draws values, oldest first; the newest is at the right edge, and the top is the highest value there is. name says what
// it is to those who do not see it; least is what the top is at least, so that next to nothing looks like it.
export function spark(values, name, least) {
  const highest = Math.max(...values, least)
  const at = (v, i) => {
    const x = width - ((values.length - 1 - i) * width) / (points - 1)
    const y = height - 2 - (v / highest) * (height - 6)
    return `${x.toFixed(1)} ${y.toFixed(1)}`
  }
  const line = values.map(at)
  const from = values.length ? width - ((values.length - 1) * width) / (points - 1) : width
  return h('svg', { class: 'spark', viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': name },
    h('path', { class: 'base', d: `M0 ${height - 1.5}H${width}` }),
    values.length > 1 && h('path', { class: 'area', d: `M${from.toFixed(1)} ${height} L${line.join(' L')} L${width} ${height}Z` }),
    values.length > 1 && h('path', { class: 'curve', d: `M${line.join(' L')}` }))
}

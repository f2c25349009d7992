// The lines between the stations, drawn behind them. Where stations stand below each other, style.css shows arrows instead.

import { h, patch } from './view.js'

let last = null

// draw draws edges in a box that has an svg and stations.
export function draw(box, edges) {
  last = { box, edges }
  const frame = box.getBoundingClientRect()
  const at = new Map()
  for (const node of box.querySelectorAll('[data-station]')) at.set(node.dataset.station, node.getBoundingClientRect())
  const svg = box.querySelector('svg')
  svg.setAttribute('viewBox', `0 0 ${Math.round(frame.width)} ${Math.round(frame.height)}`)
  const seen = edges.filter((e) => at.has(e.from) && at.has(e.to)).map((e) => {
    const from = at.get(e.from)
    const to = at.get(e.to)
    const x1 = Math.round(from.right - frame.left)
    const y1 = Math.round(from.top + Math.min(from.height / 2, 22) - frame.top)
    const x2 = Math.round(to.left - frame.left)
    const y2 = Math.round(to.top + Math.min(to.height / 2, 22) - frame.top)
    const bend = Math.max(12, (x2 - x1) / 2)
    return { ...e, d: `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}` }
  })
  const order = ['idle', 'ok', 'warn', 'bad'] // the worse is drawn above the better
  seen.sort((a, b) => order.indexOf(a.level) - order.indexOf(b.level))
  patch(svg, seen.map((e) => h('path', { key: `${e.from}>${e.to}`, d: e.d, class: `edge ${e.level}` })),
    seen.filter((e) => e.flows && e.level !== 'bad').map((e) => h('path', { key: `${e.from}>>${e.to}`, d: e.d, class: 'flow' })))
}

// follow draws anew when the box changes its size.
export function follow(box) {
  new ResizeObserver(() => last && draw(last.box, last.edges)).observe(box)
}

// Elements are described by h and put on the page by patch, which changes only what differs: focus, selection and what the
// user opened stay. A child that is a string becomes text; there is no way from a string to markup.

const svgNames = new Set(['svg', 'path', 'circle', 'line', 'g', 'title', 'text', 'rect'])

// h describes an element: its tag, its attributes (a function under "onclick" and the like is a handler, "key" names it among
// its siblings), and its children, where null, undefined and false are none.
export function h(tag, attributes, ...children) {
  const { key, ...rest } = attributes ?? {}
  return { tag, key, attributes: rest, children: children.flat(Infinity).filter(there).map(childOf) }
}

const there = (c) => c !== null && c !== undefined && c !== false
const childOf = (c) => (typeof c === 'object' ? c : String(c))

// patch makes the children of an element those that are described.
export function patch(parent, ...wanted) {
  const list = wanted.flat(Infinity).filter(there).map(childOf)
  const named = new Map()
  for (const node of parent.childNodes) {
    if (node.viewKey !== undefined) named.set(node.viewKey, node)
  }
  let at = parent.firstChild
  for (const want of list) {
    if (typeof want === 'string') {
      if (at?.nodeType === Node.TEXT_NODE) {
        if (at.data !== want) at.data = want
        at = at.nextSibling
      } else {
        parent.insertBefore(document.createTextNode(want), at)
      }
      continue
    }
    let node = null
    if (want.key !== undefined) {
      const old = named.get(want.key)
      if (old?.localName === want.tag) node = old
    } else if (at?.nodeType === Node.ELEMENT_NODE && at.viewKey === undefined && at.localName === want.tag) {
      node = at
    }
    if (node === null) {
      node = make(want, parent)
      parent.insertBefore(node, at)
    } else if (node === at) {
      at = at.nextSibling
    } else {
      parent.insertBefore(node, at)
    }
    apply(node, want)
  }
  while (at) {
    const next = at.nextSibling
    at.remove()
    at = next
  }
}

function make(want, parent) {
  const svg = want.tag === 'svg' || (svgNames.has(want.tag) && parent.namespaceURI === 'http://www.w3.org/2000/svg')
  const node = svg ? document.createElementNS('http://www.w3.org/2000/svg', want.tag) : document.createElement(want.tag)
  node.viewKey = want.key
  return node
}

function apply(node, want) {
  const before = node.viewAttributes ?? {}
  const now = want.attributes
  for (const name of Object.keys(before)) {
    if (!(name in now)) set(node, name, null)
  }
  for (const [name, value] of Object.entries(now)) {
    if (before[name] !== value) set(node, name, value)
  }
  node.viewAttributes = now
  patch(node, want.children)
}

// set sets an attribute; false and null remove it. What the user changed since stays where the description says the same as before.
function set(node, name, value) {
  if (name.startsWith('on')) {
    node[name] = value
  } else if (value === null || value === undefined || value === false) {
    node.removeAttribute(name)
  } else {
    node.setAttribute(name, value === true ? '' : String(value))
  }
}

// byId is an element of index.html.
export const byId = (id) => document.getElementById(id)

// pill shows a state: by its word, its shape and its colour. level is ok, warn, bad or idle.
export const pill = (level, word) => h('span', { class: `pill ${level}` }, h('span', { class: 'dot', 'aria-hidden': 'true' }), word)

// table shows rows of cells under headings; on a narrow screen each row becomes a card. A cell is a child, or {class, child}.
export function table(name, headings, rows) {
  return h('table', { role: 'table', 'aria-label': name },
    h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, headings.map((t) => {
      const number = t.startsWith('#')
      return h('th', { role: 'columnheader', scope: 'col', class: number ? 'number' : null }, number ? t.slice(1) : t)
    }))),
    h('tbody', { role: 'rowgroup' }, rows.map(({ key, cells }) => h('tr', { role: 'row', key }, cells.map((cell, i) =>
      h('td', { role: 'cell', class: headings[i].startsWith('#') ? 'number' : null, 'data-label': headings[i].replace('#', '') },
        cell))))))
}

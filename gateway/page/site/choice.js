// The choice of a pipeline, where there are others than the one that is shown. Each is a link: the address says which is shown.

import { h, patch, pill } from './view.js'
import { deployed, pipeline } from './api.js'

const fresh = 10000 // milliseconds for which a list is taken as it is

export class Choice {
  asked = -Infinity
  others = 0

  constructor(box) {
    this.box = box
    box.addEventListener('toggle', () => box.open && this.ask())
    box.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape' || !box.open) return
      box.open = false
      box.querySelector('summary').focus()
    })
    box.addEventListener('focusout', (event) => { if (event.relatedTarget && !box.contains(event.relatedTarget)) box.open = false })
    // A click elsewhere closes it, and so does one on a link: the browser may come back to the page as it was left.
    document.addEventListener('click', (event) => { if (!event.target.closest('#choice') || event.target.closest('a')) box.open = false })
  }

  // follow asks which pipelines there are, now and then.
  follow() {
    if (performance.now() - this.asked > fresh) this.ask()
  }

  async ask() {
    this.asked = performance.now()
    try {
      this.show(await deployed())
    } catch {
      // that the gateway is away, or knows nobody, is said elsewhere
    }
  }

  show(all) {
    this.others = all.filter((p) => p.name !== pipeline).length
    this.box.hidden = this.others === 0
    this.box.querySelector('summary').setAttribute('aria-label', `${pipeline}: choose another pipeline`)
    patch(this.box.querySelector('summary'), h('strong', { class: 'name' }, pipeline))
    patch(this.box.querySelector('ul'), all.map((p) => h('li', { key: p.name },
      h('a', { href: `?pipeline=${encodeURIComponent(p.name)}`, 'aria-current': p.name === pipeline && 'page' },
        h('span', { class: 'name' }, p.name), h('span', { class: 'muted' }, `generation ${p.generation}`), !p.running && pill('idle', 'stopped')))))
  }
}

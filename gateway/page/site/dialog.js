// Asking before something is done, and saying what came of it.

import { byId, patch, h } from './view.js'

// confirm asks, and resolves to what was chosen: null for no, else {recorded} where that can be chosen.
export function confirm({ title, text, action, choice }) {
  const box = byId('confirm')
  patch(box.querySelector('h2'), title)
  patch(box.querySelector('p'), text)
  patch(box.querySelector('.yes'), action)
  const option = box.querySelector('label')
  option.hidden = !choice
  patch(option.querySelector('span'), choice ?? '')
  option.querySelector('input').checked = false
  box.returnValue = ''
  box.showModal()
  return new Promise((resolve) => {
    box.addEventListener('close', () => {
      resolve(box.returnValue === 'yes' ? { chosen: option.querySelector('input').checked } : null)
    }, { once: true })
  })
}

// note says what came of something, until the next thing is said or it is put away.
export function note(level, text) {
  const box = byId('note')
  box.hidden = false
  box.className = `note ${level}`
  patch(box.querySelector('p'), h('span', { key: Date.now() }, text))
}

// said makes of a refusal what the one who asked can do with it.
export function said(refused) {
  if (refused.status === 403) return `You may not do that: ${refused.message}.`
  if (refused.status === 401) return `The gateway does not know you: ${refused.message}.`
  return `It was not done: ${refused.message}.`
}

export function prepare() {
  byId('note').querySelector('button').onclick = () => { byId('note').hidden = true }
  byId('file').querySelector('button').onclick = () => byId('file').close()
}

package router

import "quarterdeck/bot"

// queue holds what arrived while every place was taken, in its order, so that it
// goes on as soon as one is free and not only with the next look through the
// inbox. All of it is in the inbox too, where what does not fit here is found.
type queue []bot.Message

// maxQueued bounds the queue; with maxStored, that bounds its memory.
const maxQueued = 4096

func (q *queue) add(m bot.Message) {
	if len(*q) < maxQueued {
		*q = append(*q, m)
	}
}

// next hands on the oldest ones until one is not taken.
func (q *queue) next(take func(m bot.Message) bool) {
	n := 0
	for n < len(*q) && take((*q)[n]) {
		n++
	}
	clear((*q)[:n]) // the array keeps nothing alive
	if *q = (*q)[n:]; len(*q) == 0 {
		*q = nil
	}
}

// awaits reports whether this process received the message and has not handled
// it: the look through the inbox may have been first, or another replica that
// took it over.
func (r *Router) awaits(id string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mine[id]
}

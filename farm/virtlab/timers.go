package virtlab

import (
	"container/heap"
	"time"
)

// timer is one pending call of the module.
type timer struct {
	due   time.Duration
	order uint64
	index int // in the heap, -1 when out of it
	f     func()
}

// timers is a heap by due time, then by order of creation.
type timers struct {
	heap  timerHeap
	order uint64
}

func (t *timers) add(due time.Duration, f func()) *timer {
	t.order++
	n := &timer{due: due, order: t.order, f: f}
	heap.Push(&t.heap, n)
	return n
}

func (t *timers) stop(n *timer) {
	if n.index >= 0 {
		heap.Remove(&t.heap, n.index)
	}
}

func (t *timers) first() *timer {
	if len(t.heap) == 0 {
		return nil
	}
	return t.heap[0]
}

func (t *timers) clear() {
	for _, n := range t.heap {
		n.index = -1
	}
	t.heap = nil
}

type timerHeap []*timer

func (h timerHeap) Len() int { return len(h) }
func (h timerHeap) Less(i, j int) bool {
	if h[i].due != h[j].due {
		return h[i].due < h[j].due
	}
	return h[i].order < h[j].order
}

func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push is part of heap.Interface.
func (h *timerHeap) Push(x any) {
	n := x.(*timer)
	n.index = len(*h)
	*h = append(*h, n)
}

// Pop is part of heap.Interface.
func (h *timerHeap) Pop() any {
	old := *h
	n := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	n.index = -1
	return n
}

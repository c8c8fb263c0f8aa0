package recorder

// automaton finds any of many texts in a stream in one pass (Aho and Corasick,
// 1975). State 0 is the root. It is not changed after it is made.
type automaton struct {
	nodes []node
	root  [256]int32 // children of the root; 0 for none
}

type node struct {
	child   int32 // first child
	sibling int32
	fail    int32 // the longest proper suffix that is a prefix of some text
	depth   int32
	match   int32 // length of the longest text that ends here; 0 for none
	b       byte
}

func newAutomaton(texts [][]byte) *automaton {
	a := &automaton{nodes: make([]node, 1)}
	for _, text := range texts {
		a.add(text)
	}
	a.link()
	return a
}

func (a *automaton) add(text []byte) {
	if len(text) == 0 {
		return
	}
	at := int32(0)
	for _, b := range text {
		next := a.child(at, b)
		if next == 0 {
			next = int32(len(a.nodes))
			a.nodes = append(a.nodes, node{b: b, sibling: a.nodes[at].child, depth: a.nodes[at].depth + 1})
			a.nodes[at].child = next
			if at == 0 {
				a.root[b] = next
			}
		}
		at = next
	}
	a.nodes[at].match = int32(len(text))
}

func (a *automaton) child(at int32, b byte) int32 {
	if at == 0 {
		return a.root[b]
	}
	for c := a.nodes[at].child; c != 0; c = a.nodes[c].sibling {
		if a.nodes[c].b == b {
			return c
		}
	}
	return 0
}

// link sets the failure links, breadth first.
func (a *automaton) link() {
	queue := []int32{0}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for c := a.nodes[at].child; c != 0; c = a.nodes[c].sibling {
			if at != 0 {
				a.nodes[c].fail = a.next(a.nodes[at].fail, a.nodes[c].b)
			}
			if a.nodes[c].match == 0 {
				a.nodes[c].match = a.nodes[a.nodes[c].fail].match
			}
			queue = append(queue, c)
		}
	}
}

// next is the state after one more byte.
func (a *automaton) next(at int32, b byte) int32 {
	for {
		if c := a.child(at, b); c != 0 {
			return c
		}
		if at == 0 {
			return 0
		}
		at = a.nodes[at].fail
	}
}

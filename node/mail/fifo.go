package mail

// A fifo is a queue in one slice. Elements are numbered from 0 in the order in which they came, so that one that is
// still queued can be found by its number.
type fifo[T any] struct {
	a    []T
	head int    // a[head:] is queued
	gone uint64 // number of the element at head
}

// keepQueue is how many elements an empty queue keeps memory for: some for each partition.
const keepQueue = 8192

func (q *fifo[T]) len() int { return len(q.a) - q.head }

// push appends an element and returns its number.
func (q *fifo[T]) push(t T) uint64 {
	q.makeRoom(1)
	q.a = append(q.a, t)
	return q.gone + uint64(q.len()) - 1
}

// pushAll appends elements.
func (q *fifo[T]) pushAll(ts []T) {
	q.makeRoom(len(ts))
	q.a = append(q.a, ts...)
}

// makeRoom moves what is queued to the front, if that makes room for n more and there is not much to be moved.
func (q *fifo[T]) makeRoom(n int) {
	if len(q.a)+n > cap(q.a) && q.head > len(q.a)/2 {
		n := copy(q.a, q.a[q.head:])
		clear(q.a[n:])
		q.a, q.head = q.a[:n], 0
	}
}

// queued returns what is queued, the oldest first, until the next change.
func (q *fifo[T]) queued() []T { return q.a[q.head:] }

// numbered returns the element of that number, or nil if it is gone.
func (q *fifo[T]) numbered(n uint64) *T {
	if n < q.gone || n-q.gone >= uint64(q.len()) {
		return nil
	}
	return &q.a[q.head+int(n-q.gone)]
}

// popTo moves the n oldest elements to the end of dst; there must be as many.
func (q *fifo[T]) popTo(dst []T, n int) []T {
	oldest := q.a[q.head : q.head+n]
	dst = append(dst, oldest...)
	clear(oldest)
	q.head += n
	q.gone += uint64(n)
	if q.head == len(q.a) {
		q.rewind()
	}
	return dst
}

// drop empties the queue.
func (q *fifo[T]) drop() {
	q.gone += uint64(q.len())
	clear(q.a[q.head:])
	q.rewind()
}

func (q *fifo[T]) rewind() {
	q.a, q.head = q.a[:0], 0
	if cap(q.a) > keepQueue {
		q.a = nil
	}
}

package hold

// Version returns the version of what this node has of a partition, to be kept on disk; zero where it has nothing. Of what it holds only node
// knows the count of changes, which is left 0.
func (m *Machine) Version(i int) Version {
	p := &m.parts[i]
	switch p.state {
	case Held, Frozen:
		return Version{Epoch: p.hold.Epoch, Start: p.hold.Start}
	case Returning:
		return Version{Epoch: 1} // older than what the holder has, and more than nothing
	}
	return p.copy
}

package node

// Timers that differ are not safe from each other: a claimer with shorter ones counts on promises to be over, and on a stopped holder to know
// of it, while the other still goes by its own. A member that differs is not refused all the same, else nobody could change the factor of a
// cluster that runs. It is warned of.

// comparePatience warns once of each member that says it has another factor than this node, and again if that changes.
func (n *Node) comparePatience() {
	self, _ := n.view.Get(n.view.Self)
	others := map[string]float64{}
	for _, m := range n.view.OtherPatience() {
		if others[m.Name] = m.Patience; n.impatient[m.Name] != m.Patience {
			n.log.Warn("a member has another patience, and its timers do not fit this node's: both may decide for one key; give all nodes the same --patience",
				"member", m.Name, "there", m.Patience, "here", self.Patience)
		}
	}
	n.impatient = others
}

package query

import (
	"cmp"
	"slices"
	"strings"
)

// edit replaces bytes of a statement, or puts some in front of one.
type edit struct {
	start, end  int
	replacement string
}

// rewrite applies edits, which do not overlap, and returns with the new text
// the way back: from a byte of it to the byte of the statement it stands for. Of
// what is put in front of the same byte the last is the first: it goes around.
func rewrite(statement string, edits []edit) (text string, back func(int) int) {
	edits = slices.Clone(edits)
	slices.Reverse(edits)
	slices.SortStableFunc(edits, func(a, b edit) int { return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.end, b.end)) })
	var b strings.Builder
	at := 0
	starts := make([]int, len(edits)) // of each replacement in the new text
	for i, e := range edits {
		b.WriteString(statement[at:e.start])
		starts[i] = b.Len()
		b.WriteString(e.replacement)
		at = e.end
	}
	b.WriteString(statement[at:])
	return b.String(), func(position int) int {
		next, _ := slices.BinarySearch(starts, position+1)
		if next > 0 {
			e := edits[next-1]
			if position -= starts[next-1] + len(e.replacement); position < 0 {
				return e.start
			}
			position += e.end
		}
		return min(max(position, 0), len(statement))
	}
}

package drill

import (
	"io"
	"testing"

	"taxilake/lakekit/taxi"
)

func TestCompare(t *testing.T) {
	sent := ledger{{0, 0}: "a", {0, 1}: "b", {1, 0}: "c", {1, 1}: "c", {1, 2}: "1/2"}
	for _, test := range []struct {
		name        string
		found       map[identity]int64
		lost, twice int64
	}{
		{"exact", map[identity]int64{"a": 1, "b": 1, "c": 2, "1/2": 1}, 0, 0},
		{"one lost", map[identity]int64{"b": 1, "c": 2, "1/2": 1}, 1, 0},
		{"one of two equal ones lost", map[identity]int64{"a": 1, "b": 1, "c": 1, "1/2": 1}, 1, 0},
		{"a dead letter lost", map[identity]int64{"a": 1, "b": 1, "c": 2}, 1, 0},
		{"one lost and another twice", map[identity]int64{"a": 2, "c": 2, "1/2": 1}, 1, 1},
		{"all twice", map[identity]int64{"a": 2, "b": 2, "c": 4, "1/2": 2}, 0, 5},
		{"a row of nowhere", map[identity]int64{"a": 1, "b": 1, "c": 2, "1/2": 1, "d": 1}, 0, 1},
		{"nothing", map[identity]int64{}, 5, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got, want := sent.compare(test.found), (account{5, test.lost, test.twice}); got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
		})
	}
}

// Records are told from each other, and from what is no trip.
func TestIdentities(t *testing.T) {
	generator, err := taxi.NewGenerator(3)
	if err != nil {
		t.Fatal(err)
	}
	rows := taxi.NewRows(generator, 0, 20_000)
	seen := map[identity]bool{}
	for i := int64(0); ; i++ {
		_, value, err := rows.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		at := place{0, i}
		id := tripOf(value, at)
		if id == at.identity() || seen[id] {
			t.Fatalf("%s has the identity %q", value, id)
		}
		seen[id] = true
	}
	if len(seen) != 20_000 {
		t.Errorf("%d identities", len(seen))
	}
	for _, value := range malformed {
		if at := (place{1, 2}); tripOf([]byte(value), at) != "1/2" {
			t.Errorf("%s is taken for a trip", value)
		}
	}
}

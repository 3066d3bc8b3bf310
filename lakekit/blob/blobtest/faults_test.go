package blobtest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"taxilake/lakekit/blob"
	"taxilake/lakekit/blob/blobtest"
)

func TestFaultBucketKeepsTheContract(t *testing.T) {
	blobtest.AcceptanceTest(t, func(*testing.T) blob.Bucket {
		return blobtest.Faults(blob.NewMemory("lake"), nil)
	})
}

var errLost = errors.New("the answer got lost")

var ctx = context.Background()

func TestFaults(t *testing.T) {

	store := blob.NewMemory("lake")
	bucket := blobtest.Faults(store, blobtest.Hooks(
		blobtest.FailNth(blobtest.Put, "data/*", 2, errors.New("no route")),
		blobtest.FailNth(blobtest.After+blobtest.PutIfAbsent, "_delta_log/*.json", 1, errLost),
		blobtest.FailNth(blobtest.List, "*", 1, errors.New("throttled")),
	))
	for i := range 3 {
		bucket.Put(ctx, fmt.Sprintf("data/part-%d", i), strings.NewReader("x"))
	}
	if err := bucket.PutIfAbsent(ctx, "_delta_log/0.json", strings.NewReader("mine")); !errors.Is(err, errLost) {
		t.Errorf("error %v", err)
	}
	if data, err := blob.ReadAll(ctx, store, "_delta_log/0.json"); err != nil || string(data) != "mine" {
		t.Errorf("stored %q, %v", data, err)
	}
	bucket.PutIfAbsent(ctx, "_delta_log/0.json", strings.NewReader("again"))
	bucket.GetRange(ctx, "data/part-0", 0, 1)
	bucket.Get(ctx, "data/part-1")
	bucket.Head(ctx, "data/part-2")
	for range 2 {
		for range bucket.List(ctx, blob.ListOptions{Prefix: "_delta_log/", StartAfter: "_delta_log/0"}) {
		}
	}
	bucket.Delete(ctx, "data/part-0", "data/part-2")

	want := []string{
		"put data/part-0",
		"put data/part-1 -> error: no route",
		"put data/part-2",
		"put-if-absent _delta_log/0.json -> error: the answer got lost",
		"put-if-absent _delta_log/0.json -> exist",
		"get-range data/part-0 0+1",
		"get data/part-1 -> not exist",
		"head data/part-2",
		"list _delta_log/ after _delta_log/0 -> error: throttled",
		"list _delta_log/ after _delta_log/0",
		"delete data/part-0",
		"delete data/part-2",
	}
	if got := bucket.Log(); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	bucket.ResetLog()
	if got := bucket.Log(); len(got) != 0 {
		t.Errorf("after ResetLog: %q", got)
	}
}

// ExampleFaults holds a commit back until another writer has taken its version.
func ExampleFaults() {
	store := blob.NewMemory("lake")
	overtake := func(op, key string) error {
		if op == blobtest.PutIfAbsent {
			return store.PutIfAbsent(ctx, key, strings.NewReader("the other writer's"))
		}
		return nil
	}
	bucket := blobtest.Faults(store, overtake)
	err := bucket.PutIfAbsent(ctx, "_delta_log/1.json", strings.NewReader("mine"))
	fmt.Println(errors.Is(err, blob.ErrExist))
	fmt.Println(bucket.Log())
	// Output:
	// true
	// [put-if-absent _delta_log/1.json -> exist]
}

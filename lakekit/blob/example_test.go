package blob_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"taxilake/lakekit/blob"
)

// A commit is an object that must not be there yet.
func Example() {
	ctx := context.Background()
	table := blob.Prefix(blob.NewMemory("lake"), "delta/taxi_record")

	commit := "_delta_log/00000000000000000000.json"
	fmt.Println(table.PutIfAbsent(ctx, commit, strings.NewReader(`{"commitInfo":{}}`)))
	err := table.PutIfAbsent(ctx, commit, strings.NewReader("another writer's"))
	fmt.Println(errors.Is(err, blob.ErrExist), err)

	for info, err := range table.List(ctx, blob.ListOptions{Prefix: "_delta_log/"}) {
		fmt.Println(info.Key, info.Size, err)
	}
	// Output:
	// <nil>
	// true put if absent oss://lake/delta/taxi_record/_delta_log/00000000000000000000.json: object already exists
	// _delta_log/00000000000000000000.json 17 <nil>
}

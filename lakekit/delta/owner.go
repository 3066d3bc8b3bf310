package delta

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"taxilake/lakekit/blob"
)

// A folder belongs to one owner: to a Delta table, or to the checkpoint of a
// streaming query. Both take what lies in their folder for theirs, at any depth:
// a vacuum deletes what its own log does not name, and so the files of a table
// within. This file is the one place that knows an owner by what it leaves in its
// folder, whoever wrote it.

// Owner is a kind of owner of a folder.
type Owner string

// The owners.
const (
	TableOwner      Owner = "table"      // has a folder _delta_log
	CheckpointOwner Owner = "checkpoint" // has a file metadata, and folders of Structured Streaming's
)

const checkpointFile = "metadata"

// checkpointFolders: one of them is there once a query has begun.
var checkpointFolders = []string{"commits", "offsets", "sources"}

// CheckFolder refuses, with ErrOccupied, a folder for an owner when it lies
// within another one's, is one of the other kind or, before it is the owner's,
// holds one: to find that out all of it is listed.
//
// Two that are made at the same time, one in the other, do not see each other;
// Vacuum looks again.
func CheckFolder(ctx context.Context, bucket blob.Bucket, kind Owner) error {
	if err := checkEnclosing(ctx, bucket, kind); err != nil {
		return err
	}
	if own, err := isOwner(ctx, bucket, "", kind); err != nil || own {
		return err
	}
	owners := owners{}
	for object, err := range bucket.List(ctx, blob.ListOptions{}) {
		if err != nil {
			return fmt.Errorf("look for tables and checkpoints in %s: %w", uri(bucket, ""), err)
		}
		if folder, other := owners.see(object.Key); other != "" && folder != "" {
			return occupied(bucket, kind, "holds", other, uri(bucket, folder))
		}
	}
	return nil
}

// checkEnclosing is CheckFolder without what lies in the folder: few calls,
// however much that is. Folders that the credentials do not open count for empty.
func checkEnclosing(ctx context.Context, bucket blob.Bucket, kind Owner) error {
	for _, other := range []Owner{TableOwner, CheckpointOwner} {
		if other == kind {
			continue
		}
		if is, err := isOwner(ctx, bucket, "", other); err != nil || is {
			return cmp.Or(err, occupied(bucket, kind, "is", other, uri(bucket, "")))
		}
	}
	outer, folder, ok := blob.Outer(bucket)
	for ok && folder != "" {
		if folder = path.Dir(folder); folder == "." {
			folder = ""
		}
		for _, other := range []Owner{TableOwner, CheckpointOwner} {
			if is, err := isOwner(ctx, outer, folder, other); err != nil || is {
				return cmp.Or(err, occupied(bucket, kind, "lies in", other, uri(outer, folder)))
			}
		}
	}
	return nil
}

func uri(bucket blob.Bucket, folder string) string {
	return strings.TrimSuffix(bucket.URI(folder), "/")
}

func occupied(bucket blob.Bucket, kind Owner, how string, other Owner, whose string) error {
	if how == "is" {
		return fmt.Errorf("%w: %s is a %s already, and can be no %s besides: choose a folder of its own", ErrOccupied, whose, other, kind)
	}
	return fmt.Errorf("%w: the %s %s %s the %s %s, and what one deletes would be the other's: choose a folder beside it",
		ErrOccupied, kind, uri(bucket, ""), how, other, whose)
}

// isOwner tells whether a folder of the bucket is an owner's.
func isOwner(ctx context.Context, bucket blob.Bucket, folder string, kind Owner) (bool, error) {
	if folder != "" {
		folder += "/"
	}
	is, err := func() (bool, error) {
		if kind == TableOwner {
			return holdsAny(ctx, bucket, folder+logPrefix)
		}
		if _, err := bucket.Head(ctx, folder+checkpointFile); err != nil {
			return false, err
		}
		for _, name := range checkpointFolders {
			if is, err := holdsAny(ctx, bucket, folder+name+"/"); err != nil || is {
				return is, err
			}
		}
		return false, nil
	}()
	if errors.Is(err, blob.ErrNotExist) || errors.Is(err, blob.ErrDenied) || errors.Is(err, fs.ErrPermission) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for a %s at %s: %w", kind, uri(bucket, folder), err)
	}
	return is, nil
}

func holdsAny(ctx context.Context, bucket blob.Bucket, prefix string) (bool, error) {
	for _, err := range bucket.List(ctx, blob.ListOptions{Prefix: prefix}) {
		return err == nil, err
	}
	return false, nil
}

// OwnObjects lists the objects of a folder that keep wants and that are its
// owner's: those in folders of other owners within are not. It returns these
// folders, too, by key.
func OwnObjects(ctx context.Context, bucket blob.Bucket, keep func(blob.ObjectInfo) bool) (own []blob.ObjectInfo, others []string, err error) {
	found := owners{}
	for object, err := range bucket.List(ctx, blob.ListOptions{}) {
		if err != nil {
			return nil, nil, err
		}
		// Whose a folder is shows only later: "a/1.parquet" sorts before
		// "a/_delta_log".
		found.see(object.Key)
		if keep(object) {
			own = append(own, object)
		}
	}
	delete(found, "")
	for folder, marks := range found {
		if marks.owner() == "" {
			delete(found, folder)
		}
	}
	own = slices.DeleteFunc(own, func(object blob.ObjectInfo) bool {
		for folder := range folders(object.Key) {
			if _, other := found[folder]; other {
				return true
			}
		}
		return false
	})
	return own, slices.Sorted(maps.Keys(found)), nil
}

// folders are those a key lies in, without the root: "a", "a/b" of "a/b/c".
func folders(key string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for i := range len(key) {
			if key[i] == '/' && !yield(key[:i]) {
				return
			}
		}
	}
}

// owners are folders with what was seen in them of an owner.
type owners map[string]marks

type marks struct{ log, file, folder bool }

func (m marks) owner() Owner {
	switch {
	case m.log:
		return TableOwner
	case m.file && m.folder:
		return CheckpointOwner
	}
	return ""
}

// see takes the next key of a listing, and returns the folder it shows to be an
// owner's.
func (o owners) see(key string) (folder string, owner Owner) {
	mark := func(name string, set func(*marks)) {
		parent := strings.TrimSuffix(strings.TrimSuffix(name, path.Base(name)), "/")
		m := o[parent]
		set(&m)
		o[parent] = m
		if owner == "" {
			folder, owner = parent, m.owner()
		}
	}
	for name := range folders(key) {
		switch base := path.Base(name); {
		case base == strings.TrimSuffix(logPrefix, "/"):
			mark(name, func(m *marks) { m.log = true })
		case slices.Contains(checkpointFolders, base):
			mark(name, func(m *marks) { m.folder = true })
		}
	}
	if path.Base(key) == checkpointFile {
		mark(key, func(m *marks) { m.file = true })
	}
	return folder, owner
}

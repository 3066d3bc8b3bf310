package delta

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/apache/arrow-go/v18/arrow"
)

// fileFault is an error that lies in a data file itself: who reads it again
// gets it again.
type fileFault struct{ error }

func (f fileFault) Unwrap() error { return f.error }

func (f fileFault) Is(target error) bool { return target == ErrNotRewritable }

// checkRewritable refuses rows that a data file of ours would not hold as they
// are. Values of partition columns are no part of it.
func (s *Snapshot) checkRewritable(rows arrow.RecordBatch) error {
	for i, f := range s.schema.Fields {
		if s.isPartitionColumn(f.Name) {
			continue
		}
		err := checkStorable(rows.Column(i), f.Type, f.Nullable, f.Name)
		if nulls := (forbiddenNulls{}); errors.As(err, &nulls) {
			err = fmt.Errorf("%w, so the file is left as it is: of a rewritten one other engines would read 0 there, or nothing; "+
				"let the column be null (in Spark: ALTER TABLE ... ALTER COLUMN %s DROP NOT NULL) or replace the rows", err, nulls.column)
		}
		if err != nil {
			return fileFault{err}
		}
	}
	return nil
}

// rewriteFiles writes rows that are in the table already, all of the partition
// of the files they come from.
func (s *Snapshot) rewriteFiles(ctx context.Context, bin []*Add, targetSize int64, rows iter.Seq2[arrow.RecordBatch, error]) ([]Add, error) {
	partition := bin[0].PartitionValues
	if partition == nil {
		partition = PartitionValues{}
	}
	return s.writeFiles(ctx, targetSize, partition, rows)
}

// LeftAlone is a data file that auto compaction does not touch.
type LeftAlone struct {
	Path   string
	Reason error // ErrNotRewritable
}

// leftAlone remembers files that cannot be rewritten, which never change as long
// as the schema does not.
type leftAlone struct {
	mu     sync.Mutex
	schema string
	files  map[string]error // by path
}

// of are those of a snapshot, by path; the map does not change any more.
func (l *leftAlone) of(s *Snapshot) map[string]error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.schema != s.metadata.SchemaString {
		return nil
	}
	return l.files
}

// note keeps those that are live, and so no more than there are files.
func (l *leftAlone) note(s *Snapshot, found map[string]error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	files := map[string]error{}
	for _, add := range s.adds {
		if err := found[add.Path]; err != nil {
			files[add.Path] = err
		} else if err := l.files[add.Path]; err != nil && l.schema == s.metadata.SchemaString {
			files[add.Path] = err
		}
	}
	l.schema, l.files = s.metadata.SchemaString, files
}

// LeftAlone are the files that auto compaction of this [Table] came across and
// left as they are, since their rows would not stay what they are.
func (s *Snapshot) LeftAlone() []LeftAlone {
	var files []LeftAlone
	known := s.table.leftAlone.of(s)
	for _, add := range s.adds {
		if err := known[add.Path]; err != nil {
			files = append(files, LeftAlone{add.Path, err})
		}
	}
	return files
}

// rewritable are the files of a bin without those that cannot be rewritten,
// which are noted.
func (s *Snapshot) rewritable(ctx context.Context, bin []*Add) ([]*Add, error) {
	found := map[string]error{}
	for _, add := range bin {
		for _, err := range s.scanToRewrite(ctx, []*Add{add}) {
			if errors.Is(err, ErrNotRewritable) {
				found[add.Path] = err
			} else if err != nil {
				return nil, err
			}
		}
	}
	s.table.leftAlone.note(s, found)
	return slices.DeleteFunc(slices.Clone(bin), func(add *Add) bool { return found[add.Path] != nil }), nil
}

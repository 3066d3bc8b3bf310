package ingest

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestParseFailpoint(t *testing.T) {
	for text, want := range map[string]string{
		"after-data-commit":    "",
		"during-read:3":        "",
		"":                     "",
		"after-data-commit:0":  "number of a passing",
		"after-data-commit:x":  "number of a passing",
		"after-data-committed": "there are during-read, before-purge",
		"AFTER-DATA-COMMIT":    "no such point",
	} {
		f, err := parseFailpoint(text)
		if want == "" && (err != nil || (f == nil) != (text == "")) {
			t.Errorf("%q: %v, %v", text, f, err)
		}
		if want != "" && (!errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// Every key that a query writes belongs to a step, and each step is a failpoint.
func TestFailpointSteps(t *testing.T) {
	ctx, compaction := t.Context(), asCompaction(t.Context())
	for _, test := range []struct{ got, want string }{
		{checkpointStep(ctx, metadataKey), "query-id"},
		{checkpointStep(ctx, bindingKey), "binding"},
		{checkpointStep(ctx, initialKey), "initial-offsets"},
		{checkpointStep(ctx, offsetsKey(7)), "offsets"},
		{checkpointStep(ctx, commitsKey(7)), "commits"},
		{checkpointStep(ctx, "other"), ""},
		{tableStep(ctx, "part-00000-x.snappy.parquet"), "data-file"},
		{tableStep(ctx, "_delta_log/00000000000000000003.json"), "data-commit"},
		{tableStep(ctx, "_delta_log/00000000000000000010.checkpoint.parquet"), "log-checkpoint"},
		{tableStep(ctx, "_delta_log/_last_checkpoint"), "last-checkpoint"},
		{tableStep(compaction, "part-00000-x.snappy.parquet"), "compaction-file"},
		{tableStep(compaction, "_delta_log/00000000000000000003.json"), "compaction-commit"},
		{deadLetterStep(ctx, "_delta_log/00000000000000000000.json"), "dead-letter-table"},
		{deadLetterStep(ctx, "_delta_log/00000000000000000001.json"), "dead-letter-commit"},
		{deadLetterStep(ctx, "part-00000-x.snappy.parquet"), "dead-letter-file"},
		{deadLetterStep(ctx, "_delta_log/00000000000000000010.checkpoint.parquet"), "log-checkpoint"},
	} {
		if test.got != test.want {
			t.Errorf("%q, want %q", test.got, test.want)
		}
		if _, err := parseFailpoint("during-" + test.want); test.want != "" && err != nil {
			t.Error(err)
		}
	}
}

func TestHalfway(t *testing.T) {
	for _, size := range []int{0, 1, 2, 1000, 100_001} {
		content := bytes.Repeat([]byte("x"), size)
		read, reached := 0, -1
		h, err := newHalfway(bytes.NewReader(content), func() { reached = read })
		if err != nil {
			t.Fatal(err)
		}
		var all []byte
		for err == nil {
			p := make([]byte, 700)
			var n int
			n, err = h.Read(p)
			all = append(all, p[:n]...)
			read += n
		}
		if err != io.EOF || !bytes.Equal(all, content) || reached != size/2 {
			t.Errorf("of %d bytes: %d read, the half reached at %d, %v", size, len(all), reached, err)
		}
	}
}

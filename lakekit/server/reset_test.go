package server

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"taxilake/lakekit"
)

// TestResetTakesWhatIsItsOwn: tables and checkpoints that others have put into
// the folders stay, and the plan says so.
func TestResetTakesWhatIsItsOwn(t *testing.T) {
	all := newStreams(t)
	s := all.server
	s.settings.DeadLetters = s.settings.Table + deadLettersSuffix
	all.mustStart(t, lakekit.StreamOptions{})
	others := []string{
		"checkpoints/taxi_record/inner/commits/0", "checkpoints/taxi_record/inner/metadata", "delta/other/_delta_log/00000000000000000000.json",
		"delta/taxi_record/spark/_delta_log/00000000000000000000.json", "delta/taxi_record/spark/part-0.parquet",
	}
	for _, key := range append(others, "delta/taxi_record/own.parquet") {
		if err := s.bucket.Put(t.Context(), key, strings.NewReader("x")); err != nil {
			t.Fatal(err)
		}
	}
	request := httptest.NewRequestWithContext(t.Context(), "POST", "/", nil)
	plan, err := s.planReset(request)
	if err != nil {
		t.Fatal(err)
	}
	kept := []string{"oss://lake/delta/taxi_record/spark", "oss://lake/checkpoints/taxi_record/inner"}
	if !slices.Equal(plan.Kept, kept) || plan.Objects != int64(len(keysOf(t, s.bucket))-len(others)) {
		t.Errorf("plan %+v of %q", plan, keysOf(t, s.bucket))
	}
	if _, err := s.reset(request); err != nil {
		t.Fatal(err)
	}
	if left := keysOf(t, s.bucket); !slices.Equal(left, others) {
		t.Errorf("left %q, want %q", left, others)
	}
}

package main

import (
	"encoding/json"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestVersion(t *testing.T) {
	w := newWorkshop(t)
	var v versions
	if err := json.Unmarshal([]byte(w.does("version", "--json")), &v); err != nil {
		t.Fatal(err)
	}
	if v.Version != version || v.Go != runtime.Version() || v.Commit == "" {
		t.Errorf("version %+v", v)
	}
	for name, known := range map[string]bool{
		"deletion vectors are read": slices.Contains(v.Delta.ReadFeatures, "deletionVectors"),
		"librdkafka":                strings.Count(v.Kafka.Librdkafka, ".") >= 2,
		"Kafka":                     strings.HasPrefix(v.Kafka.Broker, "v4."),
		"OSS":                       slices.Equal(v.OSS.Signatures, []string{"V1", "V4"}),
	} {
		if !known {
			t.Errorf("%s: not told by %+v", name, v)
		}
	}
	text := w.does("version")
	for _, says := range []string{"lakekit " + version + ", commit " + v.Commit, v.Kafka.Librdkafka, "timestampNtz"} {
		if !strings.Contains(text, says) {
			t.Errorf("the text does not say %q:\n%s", says, text)
		}
	}
}

package lakekit

import (
	"strings"
	"testing"
	"time"

	"taxilake/lakekit/api"
)

func TestShowDeadLetters(t *testing.T) {
	text := Text(api.DeadLetters{
		{Topic: "nyc_taxi_data", Partition: 1, Offset: 7, Timestamp: time.UnixMilli(1_245_086_781_000), Key: []byte("k"), Value: []byte(`{"fare`), Reason: "malformed JSON: unexpected end at byte 6"},
		{Topic: "nyc_taxi_data", Value: []byte{0xff, 'a'}, Reason: "not text"},
		{Topic: "nyc_taxi_data", Value: []byte(strings.Repeat("é", 3000)), Reason: "long"},
	})
	for _, part := range []string{"2009-06-15 17:26:21.000", `{"fare`, "malformed JSON: unexpected end at byte 6", `"\xffa"`, strings.Repeat("é", 40) + "... (5.9 KiB)"} {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in\n%s", part, text)
		}
	}
	if text := Text(api.DeadLetterReplay{NumReplayed: 1200, NumRemaining: 3}); !strings.Contains(text, "1,200") || !strings.Contains(text, "do not fit still") {
		t.Errorf("replay:\n%s", text)
	}
}

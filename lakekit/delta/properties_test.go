package delta

import (
	"testing"
	"time"
)

func TestParseInterval(t *testing.T) {
	day := 24 * time.Hour
	tests := map[string]time.Duration{
		"interval 30 days": 30 * day, "INTERVAL 1 WEEK": 7 * day, "7 days": 7 * day, "interval 1 day 12 hours": 36 * time.Hour,
		"interval 0 seconds": 0, "interval 5 milliseconds 1 microsecond": 5001 * time.Microsecond,
		"": -1, "interval": -1, "30": -1, "interval 1 month": -1, "interval -1 days": -1, "interval 1.5 days": -1, "interval 99999999999 weeks": -1,
	}
	for text, want := range tests {
		got, err := ParseInterval(text)
		if err != nil {
			got = -1
		}
		if got != want {
			t.Errorf("%q: %v (%v), want %v", text, got, err, want)
		}
	}
}

func TestPropertyValues(t *testing.T) {
	tests := []struct {
		key, value string
		ok         bool
	}{
		{AutoCompactKey, "true", true}, {AutoCompactKey, "auto", true}, {AutoCompactKey, "legacy", true}, {AutoCompactKey, "yes", false},
		{OptimizeWriteKey, "false", true}, {OptimizeWriteKey, "1", false},
		{CheckpointIntervalKey, "1", true}, {CheckpointIntervalKey, "0", false},
		{TargetFileSizeKey, "134217728", true}, {TargetFileSizeKey, "128mb", true}, {TargetFileSizeKey, "1g", true}, {TargetFileSizeKey, "big", false}, {TargetFileSizeKey, "9999999999t", false},
		{CompressionCodecKey, "SNAPPY", true}, {CompressionCodecKey, "lzo", false},
		{DataSkippingNumIndexedColsKey, "-1", true}, {DataSkippingNumIndexedColsKey, "-2", false},
		{LogRetentionDurationKey, "interval 2 weeks", true}, {LogRetentionDurationKey, "forever", false},
		{"delta.columnMapping.mode", "none", true}, {"delta.columnMapping.mode", "name", false},
		{"mine", "anything", true},
	}
	for _, test := range tests {
		if _, err := checkProperties(map[string]string{test.key: test.value}); (err == nil) != test.ok {
			t.Errorf("%s = %q: error %v", test.key, test.value, err)
		}
	}
	if got, _ := parseSize("128mb"); got != 128<<20 {
		t.Errorf("128mb is %d", got)
	}
	if _, err := checkProperties(map[string]string{"delta.appendOnly": "true", "delta.APPENDONLY": "false"}); err == nil {
		t.Error("the same property twice was taken")
	}
}

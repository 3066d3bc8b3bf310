package settings

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestSQL(t *testing.T) {
	for _, limit := range sqlLimits {
		t.Setenv(SQLVariable(limit), "") // to be what it was afterwards
		os.Unsetenv(SQLVariable(limit))
	}
	tests := []struct {
		env  environment
		want SQL
		err  string
	}{
		{environment{}, SQL{}, ""},
		{environment{"LAKEKIT_SQL_MEMORY": "1.5GB", "LAKEKIT_SQL_TEMP": "10 gib", "LAKEKIT_SQL_RESULT": "64MB", "LAKEKIT_SQL_TEXT": "2000",
			"LAKEKIT_SQL_TIME": "90s", "LAKEKIT_SQL_WAITING": "5"},
			SQL{Memory: 1_500_000_000, Temp: 10 << 30, Result: 64_000_000, Text: 2000, Time: 90 * time.Second, Waiting: 5}, ""},
		{environment{"LAKEKIT_SQL_MEMORY": "much"}, SQL{}, `LAKEKIT_SQL_MEMORY="much": not a size; write it such as 512MB or 1.5GB`},
		{environment{"LAKEKIT_SQL_MEMORY": "1MB"}, SQL{}, "200MB at least"},
		{environment{"LAKEKIT_SQL_TEMP": "0"}, SQL{}, "at least"},
		{environment{"LAKEKIT_SQL_TEMP": "1e9"}, SQL{}, "not a size"},
		{environment{"LAKEKIT_SQL_TEMP": "-1GB"}, SQL{}, "not a size"},
		{environment{"LAKEKIT_SQL_TEMP": "9999999TB"}, SQL{}, "1000 TB"},
		{environment{"LAKEKIT_SQL_RESULT": "1ib"}, SQL{}, "not a size"},
		{environment{"LAKEKIT_SQL_TIME": "5"}, SQL{}, `LAKEKIT_SQL_TIME="5" is no time`},
		{environment{"LAKEKIT_SQL_TIME": "-5m"}, SQL{}, "is no time"},
		{environment{"LAKEKIT_SQL_WAITING": "0"}, SQL{}, "is no number of statements"},
	}
	for _, test := range tests {
		got, err := test.env.sql()
		if got != test.want || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%v is %+v, %v; want %+v, %s", test.env, got, err, test.want, test.err)
		}
	}
	t.Setenv("LAKEKIT_SQL_TEXT", "3kB")
	if got, err := (environment{"LAKEKIT_SQL_TEXT": "2000"}).sql(); err != nil || got.Text != 3000 {
		t.Errorf("beside the environment's, the file's holds: %+v, %v", got, err)
	}
}

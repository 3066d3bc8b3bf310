package lakekit_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestImports holds what some packages link, by module. Every cell is linked with
// lakekit, so that it is a matter of how soon a cell answers, and needs no C
// compiler. Who uses delta in another project gets the contract of a bucket, and
// what Parquet and deletion vectors take; no client of a store, nothing of the kit.
// Decoding needs Arrow and Delta's types, and no Kafka.
func TestImports(t *testing.T) {
	arrow := []string{
		"github.com/apache/arrow-go/v18", "github.com/andybalholm/brotli", "github.com/apache/thrift", "github.com/cespare/xxhash/v2",
		"github.com/goccy/go-json", "github.com/google/flatbuffers", "github.com/klauspost/compress", "github.com/klauspost/cpuid/v2",
		"github.com/pierrec/lz4/v4", "github.com/zeebo/xxh3", "golang.org/x/exp", "golang.org/x/net", "golang.org/x/sync", "golang.org/x/sys",
		"golang.org/x/text", "google.golang.org/genproto/googleapis/rpc", "google.golang.org/grpc", "google.golang.org/protobuf", // gRPC comes with Arrow
	}
	bucketAndDelta := slices.Concat(arrow, []string{
		"github.com/RoaringBitmap/roaring/v2", "github.com/bits-and-blooms/bitset", "github.com/google/uuid",
		"taxilake/lakekit/blob", "taxilake/lakekit/delta", "taxilake/lakekit/internal/folder", "taxilake/lakekit/internal/wait",
	})
	for path, allowed := range map[string][]string{
		".": {
			"github.com/go-echarts/go-echarts/v2", "github.com/janpfeifer/gonb", // what cells use
			"github.com/go-logr/logr", "k8s.io/klog/v2", "github.com/gofrs/uuid", "github.com/pkg/errors", "golang.org/x/exp", // what those need
			"taxilake/lakekit", "taxilake/lakekit/api", "taxilake/lakekit/blob", "taxilake/lakekit/kafka/properties",
			"taxilake/lakekit/services", "taxilake/lakekit/settings",
			"taxilake/lakekit/internal/atomicfile", "taxilake/lakekit/internal/folder", "taxilake/lakekit/internal/text", "taxilake/lakekit/internal/wait",
		},
		"./delta":  bucketAndDelta,
		"./decode": append(bucketAndDelta, "taxilake/lakekit/api", "taxilake/lakekit/decode", "taxilake/lakekit/internal/text"),
	} {
		list, err := exec.Command("go", "list", "-deps", "-f",
			"{{if not .Standard}}{{if .Module.Main}}{{.ImportPath}}{{else}}{{.Module.Path}}{{end}}{{if .CgoFiles}} cgo{{end}}{{end}}", path).Output()
		if err != nil {
			t.Fatal(err)
		}
		linked := slices.DeleteFunc(slices.Collect(strings.Lines(string(list))), func(line string) bool { return strings.TrimSpace(line) == "" })
		slices.Sort(linked)
		for _, line := range slices.Compact(linked) {
			if line = strings.TrimSpace(line); !slices.Contains(allowed, line) {
				t.Errorf("%s links %s", path, line)
			}
		}
	}
}

package ingest

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"taxilake/lakekit/broker"
	"taxilake/lakekit/delta"
	"taxilake/lakekit/kafka"
	"taxilake/lakekit/oss"
	"taxilake/lakekit/taxi"
)

// The parts of a benchmark run in processes of their own, so that the kernel
// tells the CPU time and the memory of each.
const (
	benchRole    = "INGEST_BENCH_ROLE"
	benchServers = "INGEST_BENCH_SERVERS"
	benchDir     = "INGEST_BENCH_DIR"
	benchRecords = "INGEST_BENCH_RECORDS"
)

const benchPartitions = 3

// TestBenchPart is what the processes of a benchmark run.
func TestBenchPart(t *testing.T) {
	role, servers, dir := os.Getenv(benchRole), os.Getenv(benchServers), os.Getenv(benchDir)
	records, _ := strconv.ParseInt(os.Getenv(benchRecords), 10, 64)
	switch role {
	case "":
		t.Skip("for benchmarks only")
	case "broker":
		err := broker.Run(t.Context(), broker.Options{Dir: dir, Ready: func(addr string) { fmt.Println(addr) }})
		t.Fatal(err)
	case "bare":
		drainBare(t, servers, records)
	case "query":
		drainQuery(t, servers, dir, records)
	default:
		t.Fatalf("no part %q", role)
	}
}

func benchPart(role, servers, dir string, records int64) *exec.Cmd {
	part := exec.Command(os.Args[0], "-test.run", "^TestBenchPart$", "-test.timeout", "0")
	if profile := os.Getenv("INGEST_BENCH_PROFILE"); profile != "" && role == "query" {
		part.Args = append(part.Args, "-test.cpuprofile", profile, "-test.memprofile", profile+".heap", "-test.memprofilerate", "65536")
	}
	part.Env = append(os.Environ(), benchRole+"="+role, benchServers+"="+servers, benchDir+"="+dir, benchRecords+"="+strconv.FormatInt(records, 10))
	part.Stderr = os.Stderr
	return part
}

// spent is what a process took.
type spent struct {
	wall, cpu time.Duration
	rss       int64 // most bytes resident
}

func runPart(t testing.TB, part *exec.Cmd) spent {
	t.Helper()
	began := time.Now()
	if out, err := part.Output(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	usage := part.ProcessState.SysUsage().(*syscall.Rusage)
	return spent{time.Since(began), part.ProcessState.UserTime() + part.ProcessState.SystemTime(), usage.Maxrss << 10}
}

// BenchmarkDrain drains a topic of taxi records into a Delta table on the local
// disk, in turn with a bare consumer of the same settings that only counts;
// broker and consumers share the machine. "of-bare-rate" and "of-bare-cpu" are
// the query's records per second and CPU time per record over the bare
// consumer's. INGEST_BENCH_RECORDS sets how many records.
func BenchmarkDrain(b *testing.B) {
	records := int64(5_000_000)
	if n, err := strconv.ParseInt(os.Getenv(benchRecords), 10, 64); err == nil {
		records = n
	}
	servers := benchBroker(b)
	benchTopic(b, servers)
	if _, err := kafka.Produce(b.Context(), kafka.Config{"bootstrap.servers": servers}, taxiRows(b, records), kafka.ProduceOptions{Topic: testTopic}); err != nil {
		b.Fatal(err)
	}
	var query, bare spent
	for b.Loop() {
		bare = bare.and(runPart(b, benchPart("bare", servers, "", records)))
		query = query.and(runPart(b, benchPart("query", servers, b.TempDir(), records)))
	}
	drained := float64(b.N) * float64(records)
	b.ReportMetric(drained/query.wall.Seconds(), "records/s")
	b.ReportMetric(bare.wall.Seconds()/query.wall.Seconds(), "of-bare-rate")
	b.ReportMetric(query.cpu.Seconds()/bare.cpu.Seconds(), "of-bare-cpu")
	b.ReportMetric(1e6*query.cpu.Seconds()/drained, "cpu-s/million")
	b.ReportMetric(float64(query.rss)/(1<<20), "MiB-resident")
}

func (s spent) and(other spent) spent {
	return spent{s.wall + other.wall, s.cpu + other.cpu, max(s.rss, other.rss)}
}

// BenchmarkFreshness sends 10,000 records a second and measures how long after
// the n-th was sent the table has n rows, with the default trigger.
func BenchmarkFreshness(b *testing.B) {
	const rate, seconds, every = 10_000, 20, 5 * time.Millisecond
	servers := benchBroker(b)
	benchTopic(b, servers)
	for b.Loop() {
		store := benchTable(b, b.TempDir())
		o := queryOptions(servers).on(store)
		o.StartingOffsets, o.Trigger = "latest", Trigger{}
		q, err := Start(b.Context(), o)
		if err != nil {
			b.Fatal(err)
		}
		sent := &sentAt{Rows: taxiRows(b, rate*seconds)}
		produced := make(chan error, 1)
		go func() {
			_, err := kafka.Produce(b.Context(), kafka.Config{"bootstrap.servers": servers}, sent, kafka.ProduceOptions{Topic: testTopic, Rate: rate})
			produced <- err
		}()
		seen := rowsAt(b, store, rate*seconds, every)
		if err := <-produced; err != nil {
			b.Fatal(err)
		}
		if err := q.Stop(b.Context()); err != nil {
			b.Fatal(err)
		}
		late := make([]time.Duration, len(sent.at))
		for i := range late {
			late[i] = seen[i].Sub(sent.at[i])
		}
		slices.Sort(late)
		b.ReportMetric(late[len(late)/2].Seconds(), "s-p50")
		b.ReportMetric(late[len(late)*99/100].Seconds(), "s-p99")
		b.ReportMetric(late[len(late)-1].Seconds(), "s-max")
	}
}

// sentAt notes when each record was handed over for sending.
type sentAt struct {
	*taxi.Rows
	at []time.Time
}

func (s *sentAt) Next() (key, value []byte, err error) {
	if key, value, err = s.Rows.Next(); err == nil {
		s.at = append(s.at, time.Now())
	}
	return key, value, err
}

// rowsAt tells when a reader of the table first saw so many rows.
func rowsAt(t testing.TB, store oss.Bucket, want int, every time.Duration) []time.Time {
	t.Helper()
	table := openTable(t, store, tablePrefix)
	var seen []time.Time
	for len(seen) < want {
		snapshot, err := table.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for now := time.Now(); int64(len(seen)) < snapshot.NumRecords(); {
			seen = append(seen, now)
		}
		time.Sleep(every)
	}
	return seen
}

func benchBroker(t testing.TB) (servers string) {
	t.Helper()
	part := benchPart("broker", "", t.TempDir(), 0)
	out, err := part.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := part.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		part.Process.Kill()
		part.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the broker's process did not start: %v", err)
	}
	return strings.TrimSpace(line)
}

func benchTopic(t testing.TB, servers string) {
	t.Helper()
	admin, err := kafka.NewAdmin(kafka.Config{"bootstrap.servers": servers})
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	if _, err := admin.CreateTopic(t.Context(), kafka.TopicSpec{Name: testTopic, Partitions: benchPartitions, ReplicationFactor: 1}); err != nil {
		t.Fatal(err)
	}
}

func taxiRows(t testing.TB, records int64) *taxi.Rows {
	t.Helper()
	generator, err := taxi.NewGenerator(1)
	if err != nil {
		t.Fatal(err)
	}
	return taxi.NewRows(generator, 0, records)
}

func drainBare(t testing.TB, servers string, records int64) {
	t.Helper()
	consumer, err := confluent.NewConsumer(kafka.Config{"bootstrap.servers": servers}.Consumer(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	var assignment []confluent.TopicPartition
	for partition := range int32(benchPartitions) {
		topic := testTopic
		assignment = append(assignment, confluent.TopicPartition{Topic: &topic, Partition: partition})
	}
	if err := consumer.Assign(assignment); err != nil {
		t.Fatal(err)
	}
	for n := int64(0); n < records; {
		switch event := consumer.Poll(pollMillis).(type) {
		case *confluent.Message:
			n++
		case confluent.Error:
			t.Fatal(event)
		}
	}
}

func drainQuery(t testing.TB, servers, dir string, records int64) {
	t.Helper()
	store := benchTable(t, dir)
	q, err := Start(t.Context(), queryOptions(servers).on(store))
	if err != nil {
		t.Fatal(err)
	}
	if err := q.AwaitTermination(context.Background()); err != nil {
		t.Fatal(err)
	}
	snapshot, err := openTable(t, store, tablePrefix).Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n := snapshot.NumRecords(); n != records {
		t.Fatalf("%d rows, want %d", n, records)
	}
}

func benchTable(t testing.TB, dir string) oss.Bucket {
	t.Helper()
	store, err := oss.OpenDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := delta.Create(t.Context(), oss.Prefix(store, tablePrefix), delta.Definition{Schema: taxiTable}); err != nil {
		t.Fatal(err)
	}
	return store
}

var taxiTable = delta.Schema{Fields: []delta.Field{
	{Name: "key", Type: delta.Timestamp, Nullable: true},
	{Name: "fare_amount", Type: delta.Double, Nullable: true},
	{Name: "pickup_datetime", Type: delta.Timestamp, Nullable: true},
	{Name: "pickup_longitude", Type: delta.Double, Nullable: true},
	{Name: "pickup_latitude", Type: delta.Double, Nullable: true},
	{Name: "dropoff_longitude", Type: delta.Double, Nullable: true},
	{Name: "dropoff_latitude", Type: delta.Double, Nullable: true},
	{Name: "passenger_count", Type: delta.Integer, Nullable: true},
}}

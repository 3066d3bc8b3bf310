package server_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"taxilake/lakekit"
	"taxilake/lakekit/api"
	"taxilake/lakekit/blob"
	"taxilake/lakekit/broker"
	"taxilake/lakekit/broker/brokertest"
	"taxilake/lakekit/class"
	"taxilake/lakekit/oss/ossserver"
	"taxilake/lakekit/server"
	"taxilake/lakekit/settings"
)

// sharedStack is a Kafka and an object store for a whole class, on loopback. It
// returns the settings with which a student reaches them.
func sharedStack(t *testing.T) map[string]string {
	t.Helper()
	buckets := t.TempDir()
	if err := os.Mkdir(filepath.Join(buckets, "lake"), 0o755); err != nil {
		t.Fatal(err)
	}
	store, err := ossserver.New(ossserver.Options{Dir: buckets, AccessKeyID: "class", AccessKeySecret: "class-s3cret", Region: "local"})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(store)
	t.Cleanup(web.Close)
	return map[string]string{
		"LAKEKIT_PROFILE": settings.Cloud, "KAFKA_BOOTSTRAP_SERVERS": brokertest.Run(t, broker.Options{}),
		"OSS_ENDPOINT": web.URL, "OSS_REGION": "local", "OSS_BUCKET": "lake",
		"OSS_ACCESS_KEY_ID": "class", "OSS_ACCESS_KEY_SECRET": "class-s3cret",
	}
}

// join starts a workshop server with the settings of a student, and returns what
// the student's notebook would have.
func join(t *testing.T, env map[string]string) *lakekit.Workshop {
	t.Helper()
	state := t.TempDir()
	t.Setenv("LAKEKIT_STATE", state)
	for name, value := range env {
		t.Setenv(name, value)
	}
	if err := settings.CreateSecrets(state); err != nil {
		t.Fatal(err)
	}
	s, err := settings.Load()
	if err != nil {
		t.Fatal(err)
	}
	workshop, err := server.Open(t.Context(), s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(workshop.Handler())
	t.Cleanup(func() {
		web.Close()
		if err := workshop.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if err := settings.WriteProcess(state, settings.Workshop, settings.Process{Address: web.Listener.Addr().String()}); err != nil {
		t.Fatal(err)
	}
	lab, err := lakekit.Connect()
	if err != nil {
		t.Fatal(err)
	}
	return lab
}

// course does what the lessons do, and returns the verdict.
func course(lab *lakekit.Workshop, seed uint64, records int64) (api.Verdict, error) {
	if _, err := lab.CreateTopic(lakekit.TopicOptions{}); err != nil {
		return api.Verdict{}, err
	}
	if _, err := lab.CreateTable(lakekit.TableOptions{}); err != nil {
		return api.Verdict{}, err
	}
	stream, err := lab.StartStream(lakekit.StreamOptions{Trigger: "100 milliseconds"})
	if err != nil {
		return api.Verdict{}, err
	}
	traffic, err := lab.StartTraffic(lakekit.TrafficOptions{Seed: seed, Records: records})
	if err != nil {
		return api.Verdict{}, err
	}
	if _, err := traffic.Wait(); err != nil {
		return api.Verdict{}, err
	}
	if _, err := lab.Send(fmt.Sprintf("no JSON, and only in workspace %s", lab.Settings().Workspace)); err != nil {
		return api.Verdict{}, err
	}
	if _, err := stream.ProcessAllAvailable(); err != nil {
		return api.Verdict{}, err
	}
	return lab.Verify()
}

// inClass lets a class do the course at once and checks that each student has
// every record of their own, and none of another.
func inClass(t *testing.T, labs []*lakekit.Workshop) {
	t.Helper()
	records := func(i int) int64 { return int64(400 + 10*i) }
	var class sync.WaitGroup
	for i, lab := range labs {
		class.Go(func() {
			name := lab.Settings().Workspace
			verdict, err := course(lab, uint64(i+1), records(i))
			if err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			if !verdict.OK || verdict.Rows != records(i) || verdict.Messages != records(i)+1 || verdict.DeadLetters != 1 {
				t.Errorf("%s sent %d records: %+v", name, records(i), verdict)
			}
			letters, err := lab.SQL("select decode(value) as value from taxi_record_dead_letters")
			if err != nil {
				t.Errorf("%s: %v", name, err)
			} else if value := strings.Join(letters.Strings("value"), ""); !strings.HasSuffix(value, " "+name) {
				t.Errorf("%s found the dead letter %q", name, value)
			}
		})
	}
	class.Wait()
	if t.Failed() {
		return
	}

	if _, err := labs[0].Reset(); err != nil {
		t.Fatal(err)
	}
	if _, err := labs[0].Topic(); err == nil {
		t.Error("a reset left the topic")
	}
	for i, lab := range labs[1:] {
		if verdict, err := lab.Verify(); err != nil || verdict.Rows != records(i+1) {
			t.Errorf("%s, after the reset of another: %+v (%v)", lab.Settings().Workspace, verdict, err)
		}
	}
}

const classSize = 20

func studentName(i int) string { return fmt.Sprintf("student-%02d", i) }

func TestTwentyWorkspacesAtOnce(t *testing.T) {
	env := sharedStack(t)
	var labs []*lakekit.Workshop
	for i := range classSize {
		env["LAKEKIT_WORKSPACE"] = studentName(i)
		labs = append(labs, join(t, env))
	}
	inClass(t, labs)
	bucket, err := server.OpenBucket(labs[0].Settings())
	if err != nil {
		t.Fatal(err)
	}
	for object, err := range bucket.List(t.Context(), blob.ListOptions{Delimiter: "/"}) {
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(object.Key, "student-") {
			t.Errorf("%s is in no workspace", object.Key)
		}
	}
}

// TestAServerKeepsToItsWorkspace on services where all have the same keys.
func TestAServerKeepsToItsWorkspace(t *testing.T) {
	env := sharedStack(t)
	env["LAKEKIT_WORKSPACE"] = "teacher"
	teacher := join(t, env)
	if _, err := course(teacher, 1, 300); err != nil {
		t.Fatal(err)
	}
	env["LAKEKIT_WORKSPACE"] = "alice"
	alice := join(t, env)
	env["LAKEKIT_WORKSPACE"], env["LAKEKIT_SHARED_WORKSPACES"] = "bob", "carol, teacher"
	bob := join(t, env)
	for _, lab := range []*lakekit.Workshop{alice, bob} { // of their own all is theirs
		if verdict, err := course(lab, 2, 100); err != nil || !verdict.OK {
			t.Fatalf("%s: %+v (%v)", lab.Settings().Workspace, verdict, err)
		}
	}
	theirs := teacher.Settings()
	at := func(folder string) string { return "oss://lake/teacher/" + folder }
	type call func(*lakekit.Workshop) error
	told := func(_ any, err error) error { return err }
	reads := map[string]call{
		"list its folder": func(l *lakekit.Workshop) error { return told(l.List("oss://lake/teacher/")) },
		"list within it":  func(l *lakekit.Workshop) error { return told(l.List(at("delta"))) },
		"query its table": func(l *lakekit.Workshop) error { return told(l.SQL("select * from delta.`" + theirs.Table + "`")) },
		"join its table": func(l *lakekit.Workshop) error {
			return told(l.SQL("select * from taxi_record join `" + theirs.Table + "` using (key)"))
		},
		"describe it": func(l *lakekit.Workshop) error { return told(l.DescribeTable(theirs.Table)) },
		"see its history": func(l *lakekit.Workshop) error {
			return told(l.History(lakekit.HistoryOptions{URI: theirs.Table + "/", Limit: 1}))
		},
		"see its files": func(l *lakekit.Workshop) error {
			return told(l.Files(lakekit.FilesOptions{URI: "oss://lake//teacher/delta/taxi_record"}))
		},
		"see its letters": func(l *lakekit.Workshop) error {
			return told(l.DeadLetters(lakekit.DeadLettersOptions{Table: theirs.Table, Limit: 1}))
		},
		"describe a topic": func(l *lakekit.Workshop) error { return told(l.Topic(theirs.Topic)) },
		"browse a topic": func(l *lakekit.Workshop) error {
			return told(l.Browse(lakekit.BrowseOptions{Topic: theirs.Topic, Limit: 1}))
		},
		"stream a topic": func(l *lakekit.Workshop) error {
			if _, err := l.CreateTable(lakekit.TableOptions{URI: "other"}); err != nil {
				return err
			}
			stream, err := l.StartStream(lakekit.StreamOptions{Name: "other", Subscribe: theirs.Topic, Table: "other", Trigger: "availableNow"})
			if err != nil {
				return err
			}
			return told(stream.Stop())
		},
	}
	version := int64(0)
	changes := map[string]call{
		"create a table": func(l *lakekit.Workshop) error {
			return told(l.CreateTable(lakekit.TableOptions{URI: at("delta/mine")}))
		},
		"make another's table their own": func(l *lakekit.Workshop) error { return told(l.CreateTable(lakekit.TableOptions{URI: theirs.Table})) },
		"optimize":                       func(l *lakekit.Workshop) error { return told(l.Optimize(lakekit.OptimizeOptions{URI: theirs.Table})) },
		"vacuum": func(l *lakekit.Workshop) error {
			return told(l.Vacuum(lakekit.VacuumOptions{URI: theirs.Table, DryRun: true}))
		},
		"restore": func(l *lakekit.Workshop) error {
			return told(l.Restore(lakekit.RestoreOptions{URI: theirs.Table, Version: &version}))
		},
		"replay letters": func(l *lakekit.Workshop) error {
			return told(l.ReplayDeadLetters(lakekit.ReplayOptions{Table: theirs.Table}))
		},
		"create a topic": func(l *lakekit.Workshop) error {
			return told(l.CreateTopic(lakekit.TopicOptions{Name: "teacher.mine"}))
		},
		"produce": func(l *lakekit.Workshop) error {
			return told(l.StartTraffic(lakekit.TrafficOptions{Topic: theirs.Topic, Records: 1}))
		},
		"stream into its table": func(l *lakekit.Workshop) error {
			return told(l.StartStream(lakekit.StreamOptions{Name: "x", Table: theirs.Table}))
		},
		"stream from its checkpoint": func(l *lakekit.Workshop) error {
			return told(l.StartStream(lakekit.StreamOptions{Name: "x", Table: "x", CheckpointLocation: theirs.Checkpoint}))
		},
		"stream in its group": func(l *lakekit.Workshop) error {
			return told(l.StartStream(lakekit.StreamOptions{Name: "x", Table: "x", Kafka: map[string]string{"kafka.group.id": "teacher.lakekit"}}))
		},
		"stream a topic of nobody": func(l *lakekit.Workshop) error {
			return told(l.StartStream(lakekit.StreamOptions{Name: "x", Table: "x", Subscribe: l.Settings().Topic + ",nyc_taxi_data"}))
		},
		"look at the whole bucket":    func(l *lakekit.Workshop) error { return told(l.List("oss://lake/")) },
		"query beside the workspaces": func(l *lakekit.Workshop) error { return told(l.SQL("select * from `oss://lake/delta/taxi_record`")) },
		"reach one that begins alike": func(l *lakekit.Workshop) error { return told(l.List("oss://lake/" + l.Settings().Workspace + "2/")) },
		"climb out": func(l *lakekit.Workshop) error {
			return told(l.List("oss://lake/" + l.Settings().Workspace + "/../teacher"))
		},
	}
	refused := func(l *lakekit.Workshop, what string, call call) {
		switch err := call(l); {
		case err == nil:
			t.Errorf("%s could %s", l.Settings().Workspace, what)
		case what != "climb out" && !strings.Contains(err.Error(), "outside of the workspace "+l.Settings().Workspace):
			t.Errorf("%s could not %s, but because of: %v", l.Settings().Workspace, what, err)
		}
	}
	for what, call := range reads {
		refused(alice, what, call)
		if err := call(bob); err != nil {
			t.Errorf("bob could not %s: %v", what, err)
		}
	}
	for what, call := range changes {
		refused(alice, what, call)
		refused(bob, what, call)
	}
	for lab, want := range map[*lakekit.Workshop][]string{alice: {"alice.nyc_taxi_data"}, bob: {"bob.nyc_taxi_data", "teacher.nyc_taxi_data"}} {
		topics, err := lab.Topics()
		var names []string
		for _, topic := range topics {
			names = append(names, topic.Name)
		}
		if err != nil || !slices.Equal(names, want) {
			t.Errorf("%s sees the topics %v, want %v (%v)", lab.Settings().Workspace, names, want, err)
		}
	}
	if _, err := bob.Reset(); err != nil {
		t.Error(err)
	}
	if verdict, err := teacher.Verify(); err != nil || !verdict.OK || verdict.Rows != 300 {
		t.Errorf("the teacher's, in the end: %+v (%v)", verdict, err)
	}
}

// TestRealClass is TestTwentyWorkspacesAtOnce on Apache Kafka and MinIO, with
// credentials for each student that open nothing of the others.
func TestRealClass(t *testing.T) {
	teacher := realStack(t)
	for name, value := range teacher {
		t.Setenv(name, value)
	}
	s, err := settings.Load()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	group, err := class.Open(t.Context(), s, class.Options{Lifetime: time.Hour, Folder: folder})
	if err != nil {
		t.Fatal(err)
	}
	defer group.Close()
	var labs []*lakekit.Workshop
	for i := range classSize {
		student, err := group.Enroll(t.Context(), studentName(i))
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(student.Env); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v (%v)", student.Env, info.Mode(), err)
		}
		labs = append(labs, join(t, readEnv(t, student.Env)))
	}
	t.Cleanup(func() {
		for _, lab := range labs {
			if _, err := lab.Reset(); err != nil {
				t.Error(err)
			}
		}
	})
	inClass(t, labs)

	first, second := labs[1], labs[2].Settings()
	for what, try := range map[string]func() (any, error){
		"list the folder of another": func() (any, error) { return first.List("oss://lake/" + second.Folder()) },
		"list the whole bucket":      func() (any, error) { return first.List("oss://lake/") },
		"query the table of another": func() (any, error) { return first.SQL("select * from `" + second.Table + "`") },
		"browse the topic of another": func() (any, error) {
			return first.Browse(lakekit.BrowseOptions{Topic: second.Topic, Limit: 1})
		},
		"send to the topic of another": func() (any, error) {
			return first.StartTraffic(lakekit.TrafficOptions{Topic: second.Topic, Records: 1})
		},
		"create a topic outside": func() (any, error) { return first.CreateTopic(lakekit.TopicOptions{Name: "outside"}) },
	} {
		if got, err := try(); err == nil {
			t.Errorf("%s could %s: %v", first.Settings().Workspace, what, got)
		}
	}
	topics, err := first.Topics()
	if err != nil || len(topics) != 1 || topics[0].Name != first.Settings().Topic {
		t.Errorf("%s sees the topics %v (%v)", first.Settings().Workspace, topics, err)
	}
}

// realStack is the administrator's settings for the services of make test-real.
func realStack(t *testing.T) map[string]string {
	t.Helper()
	address := func(variable string) string {
		value := os.Getenv(variable)
		if value == "" {
			t.Skipf("%s is not set; make test-real sets it", variable)
		}
		return value
	}
	port := func(address string) string { return address[strings.LastIndexByte(address, ':')+1:] }
	kafka, login, store := address("LAKEKIT_REAL_KAFKA"), address("LAKEKIT_REAL_KAFKA_SASL"), address("LAKEKIT_REAL_S3")
	return map[string]string{
		"LAKEKIT_PROFILE": settings.Docker, "LAKEKIT_WORKSPACE": "",
		"KAFKA_BOOTSTRAP_SERVERS": kafka, "OSS_ENDPOINT": store,
		"OSS_ACCESS_KEY_ID":     address("LAKEKIT_REAL_S3_ACCESS_KEY_ID"),
		"OSS_ACCESS_KEY_SECRET": address("LAKEKIT_REAL_S3_ACCESS_KEY_SECRET"),
		"CLASS_ADDRESS":         "127.0.0.1", "CLASS_KAFKA_PORT": port(login), "OSS_PORT": port(store),
	}
}

func readEnv(t *testing.T, path string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		env[name] = strings.Trim(value, "'")
	}
	return env
}

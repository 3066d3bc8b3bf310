package settings_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"taxilake/lakekit/kafka/properties"
	"taxilake/lakekit/settings"
)

const confluentCloud = `# as handed out
bootstrap.servers=pkc-1.eu.confluent.cloud:9092
security.protocol=SASL_SSL
sasl.mechanisms=PLAIN
sasl.username=KEY
sasl.password=file-s3cret
`

const aliyun = `LAKEKIT_PROFILE=cloud
OSS_ENDPOINT=https://oss-cn-hangzhou.aliyuncs.com
OSS_REGION=cn-hangzhou
OSS_BUCKET=class-2026
OSS_ACCESS_KEY_ID=LTAI1
OSS_ACCESS_KEY_SECRET='s3cret$1'
OSS_SESSION_TOKEN=token-s3cret
`

func TestProfiles(t *testing.T) {
	minio := settings.OSS{Endpoint: "http://127.0.0.1:9000", Region: "us-east-1", Bucket: "lake", AccessKeyID: "id", Secret: "s3cret", S3: true}
	for _, test := range []struct {
		name, env, file string
		kafka           properties.Properties
		oss             settings.OSS
		table           string
	}{
		{
			name:  "docker on the published ports",
			env:   "LAKEKIT_PROFILE=docker\nOSS_ACCESS_KEY_ID=id\nOSS_ACCESS_KEY_SECRET=s3cret\n",
			kafka: properties.Properties{"bootstrap.servers": "127.0.0.1:9092"},
			oss:   minio, table: "oss://lake/delta/taxi_record",
		},
		{
			name:  "docker on other ports",
			env:   "LAKEKIT_PROFILE=docker\nKAFKA_PORT=19092\nOSS_PORT=19000\nOSS_ACCESS_KEY_ID=id\nOSS_ACCESS_KEY_SECRET=s3cret\n",
			kafka: properties.Properties{"bootstrap.servers": "127.0.0.1:19092"},
			oss:   with(minio, func(o *settings.OSS) { o.Endpoint = "http://127.0.0.1:19000" }), table: "oss://lake/delta/taxi_record",
		},
		{
			name: "a class's stack",
			env: `LAKEKIT_PROFILE=docker
LAKEKIT_WORKSPACE=alice
KAFKA_BOOTSTRAP_SERVERS=teacher:9094
KAFKA_SECURITY_PROTOCOL=SASL_PLAINTEXT
KAFKA_SASL_MECHANISM=SCRAM-SHA-512
KAFKA_SASL_USERNAME=alice
KAFKA_SASL_PASSWORD=s3cret
OSS_ENDPOINT=http://teacher:9000
OSS_ACCESS_KEY_ID=id
OSS_ACCESS_KEY_SECRET=s3cret
`,
			kafka: properties.Properties{"bootstrap.servers": "teacher:9094", "security.protocol": "SASL_PLAINTEXT", "sasl.mechanisms": "SCRAM-SHA-512",
				"sasl.username": "alice", "sasl.password": "s3cret"},
			oss: with(minio, func(o *settings.OSS) { o.Endpoint = "http://teacher:9000" }), table: "oss://lake/alice/delta/taxi_record",
		},
		{
			name: "cloud, variables over the file",
			env:  aliyun + "KAFKA_CLIENT_PROPERTIES=client.properties\nKAFKA_SASL_PASSWORD=s3cret\nKAFKA_SSL_CA_LOCATION=ca.pem\n", file: confluentCloud,
			kafka: properties.Properties{"bootstrap.servers": "pkc-1.eu.confluent.cloud:9092", "security.protocol": "SASL_SSL", "sasl.mechanisms": "PLAIN",
				"sasl.username": "KEY", "sasl.password": "s3cret", "ssl.ca.location": "HOME/ca.pem"},
			oss: settings.OSS{Endpoint: "https://oss-cn-hangzhou.aliyuncs.com", Region: "cn-hangzhou", Bucket: "class-2026",
				AccessKeyID: "LTAI1", Secret: "s3cret$1", SecurityToken: "token-s3cret"},
			table: "oss://class-2026/delta/taxi_record",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			home := repository(t, test.env)
			t.Chdir(home)
			if test.file != "" {
				write(t, filepath.Join(home, "client.properties"), test.file)
			}
			s, err := settings.Load()
			if err != nil {
				t.Fatal(err)
			}
			if ca := test.kafka["ssl.ca.location"]; ca != "" {
				test.kafka["ssl.ca.location"] = strings.Replace(ca, "HOME", s.Home, 1)
			}
			if !maps.Equal(s.Kafka, test.kafka) {
				t.Errorf("kafka %v, want %v", map[string]string(s.Kafka), map[string]string(test.kafka))
			}
			if s.OSS != test.oss {
				t.Errorf("oss %+v, want %+v", s.OSS, test.oss)
			}
			if s.Table != test.table {
				t.Errorf("table %s, want %s", s.Table, test.table)
			}
			if want := filepath.Join(s.Home, ".lakekit", s.Profile); s.State != want {
				t.Errorf("state folder %s, want %s", s.State, want)
			}
			if roles := s.Roles(); !slices.Equal(roles, []settings.Role{settings.Workshop}) {
				t.Errorf("processes of this kit: %v", roles)
			}
			asJSON, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			for _, shown := range []string{string(asJSON), fmt.Sprint(s), fmt.Sprintf("%+v", s), fmt.Sprintf("%#v", *s), fmt.Sprint(s.List())} {
				if strings.Contains(shown, "s3cret") {
					t.Errorf("a secret is shown in %s", shown)
				}
			}
		})
	}
}

func with(o settings.OSS, change func(*settings.OSS)) settings.OSS {
	change(&o)
	return o
}

func TestProfilesRefuse(t *testing.T) {
	for _, test := range []struct{ name, env, says string }{
		{"docker without keys", "LAKEKIT_PROFILE=docker\n", "`make docker-up` makes them"},
		{"cloud without anything", "LAKEKIT_PROFILE=cloud\n", "KAFKA_CLIENT_PROPERTIES (the client.properties of your cluster) or KAFKA_BOOTSTRAP_SERVERS, OSS_ENDPOINT"},
		{"cloud without Kafka", aliyun, "KAFKA_BOOTSTRAP_SERVERS;"},
		{"file that is not there", aliyun + "KAFKA_CLIENT_PROPERTIES=none.properties\n", "none.properties"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Chdir(repository(t, test.env))
			_, err := settings.Load()
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v, want %s", err, test.says)
			}
			if err != nil && strings.Contains(err.Error(), "s3cret") {
				t.Errorf("error %v shows a secret", err)
			}
		})
	}
}

func TestEmbeddedIgnoresTheAddressesOfOthers(t *testing.T) {
	t.Chdir(repository(t, strings.Replace(aliyun, "cloud", "embedded", 1)+"KAFKA_BOOTSTRAP_SERVERS=elsewhere:9092\n"))
	s, err := settings.Load()
	if err != nil {
		t.Fatal(err)
	}
	if s.Kafka.Servers() != "" || s.OSS.Endpoint != "" || s.OSS.Bucket != "lake" || s.OSS.SecurityToken != "" {
		t.Errorf("kafka %v, oss %+v", s.Kafka, s.OSS)
	}
}

func TestTopicInWorkspace(t *testing.T) {
	for workspace, want := range map[string]string{"": "under_the_hood", "alice": "alice.under_the_hood"} {
		s := settings.Settings{Workspace: workspace}
		if got := s.TopicInWorkspace("under_the_hood"); got != want {
			t.Errorf("in workspace %q: %s, want %s", workspace, got, want)
		}
	}
}

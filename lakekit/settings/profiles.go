package settings

import (
	"fmt"
	"maps"
	"net"
	"path/filepath"
	"strings"

	"taxilake/lakekit/kafka/properties"
)

// The ports that docker/compose.yaml and compose.class.yaml publish unless .env
// names others.
const (
	kafkaPort = "9092"
	classPort = "9094"
	ossPort   = "9000"
)

// readDocker finds Apache Kafka and MinIO: on the published ports of the compose
// stack, or where a class's stack is.
func (s *Settings) readDocker(env environment) error {
	defaults := properties.Properties{"bootstrap.servers": net.JoinHostPort("127.0.0.1", env.get("KAFKA_PORT", kafkaPort))}
	s.readOSS(env)
	s.OSS.S3 = true
	s.OSS.Endpoint = env.get("OSS_ENDPOINT", "http://"+net.JoinHostPort("127.0.0.1", env.get("OSS_PORT", ossPort)))
	s.OSS.Region = env.get("OSS_REGION", "us-east-1") // MinIO's, unless told otherwise
	s.OSS.Bucket = env.get("OSS_BUCKET", BucketName)
	if address := env.get("CLASS_ADDRESS", ""); address != "" {
		s.Class.Kafka = net.JoinHostPort(address, env.get("CLASS_KAFKA_PORT", classPort))
		s.Class.Endpoint = "http://" + net.JoinHostPort(address, env.get("OSS_PORT", ossPort))
	}
	if s.OSS.AccessKeyID == "" || s.OSS.Secret == "" {
		return fmt.Errorf("LAKEKIT_PROFILE=%s: MinIO's keys are missing: `make docker-up` makes them and writes them into .env; for another stack set OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET there", Docker)
	}
	return s.readKafka(env, defaults)
}

// readCloud wants everything that cannot be guessed, and names all that is missing.
func (s *Settings) readCloud(env environment) error {
	s.readOSS(env)
	var missing []string
	if env.get("KAFKA_CLIENT_PROPERTIES", "") == "" && env.get("KAFKA_BOOTSTRAP_SERVERS", "") == "" {
		missing = append(missing, "KAFKA_CLIENT_PROPERTIES (the client.properties of your cluster) or KAFKA_BOOTSTRAP_SERVERS")
	}
	for _, needed := range []struct{ value, name string }{
		{s.OSS.Endpoint, "OSS_ENDPOINT (https://oss-cn-hangzhou.aliyuncs.com)"},
		{s.OSS.Region, "OSS_REGION (cn-hangzhou)"},
		{s.OSS.Bucket, "OSS_BUCKET"},
		{s.OSS.AccessKeyID, "OSS_ACCESS_KEY_ID"},
		{s.OSS.Secret.Reveal(), "OSS_ACCESS_KEY_SECRET"},
	} {
		if needed.value == "" {
			missing = append(missing, needed.name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("LAKEKIT_PROFILE=%s: set in .env or in the environment: %s; .env.example shows all", Cloud, strings.Join(missing, ", "))
	}
	return s.readKafka(env, nil)
}

func (s *Settings) readOSS(env environment) {
	s.OSS = OSS{
		Endpoint:      env.get("OSS_ENDPOINT", ""),
		Region:        env.get("OSS_REGION", ""),
		Bucket:        env.get("OSS_BUCKET", ""),
		AccessKeyID:   env.get("OSS_ACCESS_KEY_ID", ""),
		Secret:        Secret(env.get("OSS_ACCESS_KEY_SECRET", "")),
		SecurityToken: Secret(env.get("OSS_SESSION_TOKEN", "")),
	}
}

// kafkaVariables are the properties of librdkafka that can be set one by one.
// Every other one has its place in a client.properties.
var kafkaVariables = []struct{ variable, property string }{
	{"KAFKA_BOOTSTRAP_SERVERS", "bootstrap.servers"},
	{"KAFKA_SECURITY_PROTOCOL", "security.protocol"},
	{"KAFKA_SASL_MECHANISM", "sasl.mechanisms"},
	{"KAFKA_SASL_USERNAME", "sasl.username"},
	{"KAFKA_SASL_PASSWORD", "sasl.password"},
	{"KAFKA_SSL_CA_LOCATION", "ssl.ca.location"},
}

// readKafka puts single variables over the file, and the file over the defaults.
func (s *Settings) readKafka(env environment, defaults properties.Properties) error {
	s.Kafka = properties.Properties{}
	maps.Copy(s.Kafka, defaults)
	if path := env.get("KAFKA_CLIENT_PROPERTIES", ""); path != "" {
		file, err := properties.Read(s.inHome(path))
		if err != nil {
			return fmt.Errorf("KAFKA_CLIENT_PROPERTIES: %w", err)
		}
		maps.Copy(s.Kafka, file)
	}
	for _, known := range kafkaVariables {
		if value := env.get(known.variable, ""); value != "" {
			s.Kafka[known.property] = value
		}
	}
	if path := s.Kafka["ssl.ca.location"]; path != "" && path != "probe" { // librdkafka's word for the system's own
		s.Kafka["ssl.ca.location"] = s.inHome(path)
	}
	return nil
}

// inHome takes paths in settings as relative to the repository, wherever the
// program runs.
func (s *Settings) inHome(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(s.Home, path)
}

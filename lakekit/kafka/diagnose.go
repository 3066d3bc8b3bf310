package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	confluent "github.com/confluentinc/confluent-kafka-go/v2/kafka"

	"taxilake/lakekit/api"
)

// Diagnose looks step by step at what a client of the cluster needs, from its
// properties to the rights on the topic ("": none), and ends with the first
// step that fails. It changes nothing. Each step is bounded to some 10 s.
func Diagnose(ctx context.Context, c Config, topic string) []api.Check {
	d := &diagnosis{config: c.canonical(), topic: topic}
	defer d.close()
	var checks []api.Check
	for _, step := range []struct {
		name string
		run  func(context.Context) (string, error)
	}{
		{"client properties", d.properties},
		{"host name", d.hostName},
		{"port", d.port},
		{"TLS", d.tls},
		{"protocol", d.protocol},
		{"login", d.login},
		{"advertised addresses", d.advertised},
		{"topic", d.mayCreate},
		{"write and read", d.mayWriteAndRead},
	} {
		detail, err := step.run(ctx)
		check := api.Check{Name: step.name, OK: err == nil, Detail: detail}
		if err != nil {
			check.Detail = err.Error()
			var f *fault
			if errors.As(err, &f) {
				check.Detail, check.Hint = f.said, f.hint
			}
		}
		checks = append(checks, check)
		if err != nil || step.name == "advertised addresses" && topic == "" {
			break
		}
	}
	return checks
}

// diagnosis is what one step finds for the next.
type diagnosis struct {
	config    Config
	topic     string
	admin     *Admin
	addresses []string // host:port
	address   string   // the first that answers
	secure    *tls.Config
	brokers   []confluent.BrokerMetadata // as the cluster advertises them
	allowed   []confluent.ACLOperation   // on the topic; nil: not known
}

func (d *diagnosis) close() {
	if d.admin != nil {
		d.admin.Close()
	}
}

// failedStep is a fault that only people decide on.
func failedStep(hint, format string, args ...any) error {
	return &fault{said: fmt.Sprintf(format, args...), hint: hint}
}

func (d *diagnosis) properties(context.Context) (string, error) {
	const hint = "correct the line of client.properties, or the KAFKA_ variable that is over it"
	_, err := d.roots() // names the file, as librdkafka does not
	if err != nil {
		return "", err
	}
	if d.admin, err = NewAdmin(d.config); err != nil {
		return "", failedStep(hint, "%v", err)
	}
	for server := range strings.SplitSeq(d.config.Servers(), ",") {
		if server = strings.TrimSpace(server); server == "" {
			continue
		}
		if _, after, found := strings.Cut(server, "://"); found {
			server = after
		}
		if _, _, err := net.SplitHostPort(server); err != nil {
			server = net.JoinHostPort(strings.Trim(server, "[]"), "9092") // librdkafka's default
		}
		d.addresses = append(d.addresses, server)
	}
	if len(d.addresses) == 0 {
		return "", failedStep("set KAFKA_BOOTSTRAP_SERVERS, or bootstrap.servers in client.properties", "bootstrap.servers is empty")
	}
	return fmt.Sprintf("bootstrap.servers=%s security.protocol=%s", strings.Join(d.addresses, ","), d.securityProtocol()), nil
}

func (d *diagnosis) securityProtocol() string {
	if p := d.config["security.protocol"]; p != "" {
		return strings.ToUpper(p)
	}
	return "PLAINTEXT"
}

func (d *diagnosis) hasTLS() bool  { return strings.HasSuffix(d.securityProtocol(), "SSL") }
func (d *diagnosis) hasSASL() bool { return strings.HasPrefix(d.securityProtocol(), "SASL_") }

func (d *diagnosis) hostName(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	var found, missing []string
	for _, address := range d.addresses {
		host, _, _ := net.SplitHostPort(address)
		addresses, err := net.DefaultResolver.LookupHost(ctx, host)
		if err != nil {
			missing = append(missing, err.Error())
			continue
		}
		found = append(found, host+" is "+strings.Join(addresses, " "))
	}
	if len(found) == 0 {
		return "", failedStep("correct the host in KAFKA_BOOTSTRAP_SERVERS (bootstrap.servers); in a private network check DNS and VPN", "%s", strings.Join(missing, "; "))
	}
	return strings.Join(append(found, missing...), "; "), nil
}

func (d *diagnosis) port(ctx context.Context) (string, error) {
	var failures []string
	for _, address := range d.addresses {
		conn, err := dial(ctx, address, nil)
		if err == nil {
			conn.Close()
			d.address = address
			return strings.Join(append([]string{address + " answers"}, failures...), "; "), nil
		}
		failures = append(failures, err.Error())
	}
	return "", failedStep("start the broker (embedded: `lakekit up`; Docker: `make docker-up`), or correct the port in KAFKA_BOOTSTRAP_SERVERS (bootstrap.servers); a firewall or proxy may be between", "%s", strings.Join(failures, "; "))
}

func (d *diagnosis) tls(ctx context.Context) (string, error) {
	if !d.hasTLS() {
		return "not used: security.protocol=" + d.securityProtocol(), nil
	}
	var err error
	if d.secure, err = d.tlsConfig(); err != nil {
		return "", err
	}
	conn, err := dial(ctx, d.address, d.secure)
	if err == nil {
		defer conn.Close()
		certificate := conn.(*tls.Conn).ConnectionState().PeerCertificates[0]
		return fmt.Sprintf("%s, certificate of %s by %s until %s", tls.VersionName(conn.(*tls.Conn).ConnectionState().Version),
			certificate.Subject, certificate.Issuer, certificate.NotAfter.Format("2006-01-02")), nil
	}
	if _, plain := asking(ctx, d.address, nil, answersKafka); plain == nil {
		return "", failedStep("set KAFKA_SECURITY_PROTOCOL (security.protocol) to "+strings.Replace(d.securityProtocol(), "SSL", "PLAINTEXT", 1)+", or take the cluster's port for TLS",
			"%s speaks plaintext, but security.protocol is %s", d.address, d.securityProtocol())
	}
	return "", failedStep(tlsHint(err), "%s: %v", d.address, err)
}

func answersKafka(conn net.Conn) (struct{}, error) { return struct{}{}, speaksKafka(conn) }

func tlsHint(err error) string {
	var (
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
	)
	switch {
	case errors.As(err, &name):
		return "write the broker in KAFKA_BOOTSTRAP_SERVERS (bootstrap.servers) as its certificate names it"
	case errors.As(err, &authority):
		return "set KAFKA_SSL_CA_LOCATION (ssl.ca.location) to the PEM file of the authority that signed the certificate"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "correct this computer's clock, or have the broker's certificate renewed"
	case strings.Contains(err.Error(), "certificate required"), strings.Contains(err.Error(), "bad certificate"):
		return "the broker wants a certificate from the client: set ssl.certificate.location and ssl.key.location"
	}
	return "check that the port is the cluster's port for TLS; a proxy may be between"
}

// tlsConfig is what librdkafka's ssl properties say, for crypto/tls.
func (d *diagnosis) tlsConfig() (*tls.Config, error) {
	host, _, _ := net.SplitHostPort(d.address)
	config := &tls.Config{ServerName: host}
	roots, err := d.roots()
	if err != nil {
		return nil, err
	}
	config.RootCAs = roots
	if d.config["enable.ssl.certificate.verification"] == "false" {
		config.InsecureSkipVerify = true
	} else if d.config["ssl.endpoint.identification.algorithm"] == "none" {
		config.InsecureSkipVerify = true
		config.VerifyConnection = func(state tls.ConnectionState) error {
			between := x509.NewCertPool()
			for _, certificate := range state.PeerCertificates[1:] {
				between.AddCert(certificate)
			}
			_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
			return err
		}
	}
	certificate, err := d.clientCertificate()
	if err != nil {
		return nil, failedStep("correct ssl.certificate.location and ssl.key.location", "the client's certificate: %v", err)
	}
	if certificate != nil {
		config.Certificates = []tls.Certificate{*certificate}
	}
	return config, nil
}

// clientCertificate returns nil when there is none, or one that only OpenSSL
// reads here (PKCS#12, a key with a password).
func (d *diagnosis) clientCertificate() (*tls.Certificate, error) {
	var certificate tls.Certificate
	var err error
	switch c := d.config; {
	case c["ssl.key.password"] != "":
		return nil, nil
	case c["ssl.certificate.location"] != "" && c["ssl.key.location"] != "":
		certificate, err = tls.LoadX509KeyPair(c["ssl.certificate.location"], c["ssl.key.location"])
	case c["ssl.certificate.pem"] != "" && c["ssl.key.pem"] != "":
		certificate, err = tls.X509KeyPair([]byte(c["ssl.certificate.pem"]), []byte(c["ssl.key.pem"]))
	default:
		return nil, nil
	}
	return &certificate, err
}

// roots returns nil for the system's.
func (d *diagnosis) roots() (*x509.CertPool, error) {
	const hint = "correct KAFKA_SSL_CA_LOCATION (ssl.ca.location): a PEM file, or a folder of them"
	pems := []byte(d.config["ssl.ca.pem"])
	if location := d.config["ssl.ca.location"]; location != "" && location != "probe" {
		files := []string{location}
		if info, err := os.Stat(location); err == nil && info.IsDir() {
			files, _ = filepath.Glob(filepath.Join(location, "*"))
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				return nil, failedStep(hint, "%v", err)
			}
			pems = append(append(pems, '\n'), content...)
		}
	}
	if len(pems) == 0 {
		return nil, nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pems) {
		return nil, failedStep(hint, "ssl.ca.location holds no certificate")
	}
	return pool, nil
}

func (d *diagnosis) protocol(ctx context.Context) (string, error) {
	_, err := asking(ctx, d.address, d.secure, answersKafka)
	if err == nil {
		return d.address + " speaks Kafka's protocol", nil
	}
	if d.secure == nil {
		if conn, secure := dial(ctx, d.address, &tls.Config{InsecureSkipVerify: true}); secure == nil {
			conn.Close()
			return "", failedStep("set KAFKA_SECURITY_PROTOCOL (security.protocol) to "+strings.Replace(d.securityProtocol(), "PLAINTEXT", "SSL", 1),
				"%s speaks TLS, but security.protocol is %s", d.address, d.securityProtocol())
		}
	}
	said := "ends the connection"
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		said = fmt.Sprintf("takes the connection but says nothing within %v", probeTimeout)
	case errors.Is(err, errNotKafka):
		said = err.Error()
	}
	return "", failedStep("another program may have the port, or a proxy is between: correct KAFKA_BOOTSTRAP_SERVERS (bootstrap.servers)", "%s: %s", d.address, said)
}

// login asks for metadata, which any broker answers: what must go to a certain
// one waits for an address that may be none from here.
func (d *diagnosis) login(ctx context.Context) (string, error) {
	ctx, end := d.admin.begin(ctx)
	defer end()
	metadata, err := d.admin.metadata(ctx, false)
	if err != nil {
		if wants, probe := asking(context.WithoutCancel(ctx), d.address, d.secure, wantsLogin); !d.hasSASL() && probe == nil && wants {
			return "", failedStep("set KAFKA_SECURITY_PROTOCOL (security.protocol) to SASL_"+d.securityProtocol()+" with KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD",
				"%s wants a login, but security.protocol is %s", d.address, d.securityProtocol())
		}
		return "", d.admin.failed(err, "ask for the cluster's brokers")
	}
	d.brokers = metadata.Brokers
	who := "none needed"
	if d.hasSASL() {
		who = fmt.Sprintf("user %s by %s", d.config["sasl.username"], d.config["sasl.mechanisms"])
	}
	return fmt.Sprintf("%s; brokers in the cluster: %d", who, len(d.brokers)), nil
}

// advertised finds the classic trap: the cluster is found, but sends its
// clients to addresses that are none from here.
func (d *diagnosis) advertised(ctx context.Context) (string, error) {
	var addresses []string
	for _, b := range d.brokers {
		address := net.JoinHostPort(b.Host, strconv.Itoa(b.Port))
		conn, err := dial(ctx, address, nil)
		if err != nil {
			return "", failedStep("correct the broker's advertised.listeners to an address that clients reach (in Docker: one listener for containers, one for the host), or connect from where the address is known",
				"%s answers, but sends clients on to broker %d at %s: %v", d.address, b.ID, address, err)
		}
		conn.Close()
		addresses = append(addresses, address)
	}
	return "all reached: " + strings.Join(addresses, " "), nil
}

func (d *diagnosis) mayCreate(ctx context.Context) (string, error) {
	if err := CheckTopicName(d.topic); err != nil {
		return "", err
	}
	ctx, end := d.admin.begin(ctx)
	defer end()
	result, err := d.admin.client.DescribeTopics(ctx, confluent.NewTopicCollectionOfTopicNames([]string{d.topic}), confluent.SetAdminOptionIncludeAuthorizedOperations(true))
	if err == nil {
		err = orNil(result.TopicDescriptions[0].Error)
	}
	if err == nil {
		d.allowed = result.TopicDescriptions[0].AuthorizedOperations
		return fmt.Sprintf("%s exists, partitions: %d", d.topic, len(result.TopicDescriptions[0].Partitions)), nil
	}
	if !isCode(err, confluent.ErrUnknownTopicOrPart) {
		return "", d.admin.failed(err, "describe topic %s", d.topic)
	}
	err = d.admin.createTopic(ctx, TopicSpec{Name: d.topic}, confluent.SetAdminValidateOnly(true))
	if err != nil {
		return "", d.admin.failed(err, "create topic %s", d.topic)
	}
	return d.topic + " does not exist yet and may be created", nil
}

func (d *diagnosis) mayWriteAndRead(context.Context) (string, error) {
	if d.allowed == nil {
		return "told once the topic exists", nil
	}
	for _, needed := range []confluent.ACLOperation{confluent.ACLOperationWrite, confluent.ACLOperationRead} {
		if !slices.Contains(d.allowed, needed) {
			return "", failedStep("have it granted by an ACL, or check the topic's name and LAKEKIT_WORKSPACE", "user %s may not %s topic %s", d.config["sasl.username"], strings.ToLower(needed.String()), d.topic)
		}
	}
	return "both allowed", nil
}

//go:build linux

package main

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

const (
	kafkaVersion = "4.3.0"
	clusterID    = "dHJlbmNoLWxvY2FsLTAwMQ" // 16 bytes in base64; a cluster id means nothing outside its data
	javaMajor    = 17
)

//go:embed kafka-pom.xml
var kafkaPOM []byte

//go:embed kafka-jars.sha256
var kafkaJars []byte

// advertisedVar names a variable with the address, host:port, that the broker tells
// its clients instead of its own: that of a proxy in front of it.
const advertisedVar = "TRENCH_KAFKA_ADVERTISED"

// kafka is one broker that is its own controller, with a static quorum of
// one: the ports may change between runs on the same data.
type kafka struct{}

func (kafka) name() string { return "kafka" }
func (kafka) ports() []int { return []int{19092, 19093} }

func (kafka) env(ports []int) []string {
	return []string{"TRENCH_KAFKA_BROKERS=" + address(ports)}
}

// address is where the broker itself listens for clients, and advertised what it
// tells them.
func address(ports []int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(ports[0])) }

func advertised(ports []int) string { return cmp.Or(os.Getenv(advertisedVar), address(ports)) }

func (kafka) fetch(ctx context.Context, c cache) error {
	_, err := c.get(ctx, "kafka-"+kafkaVersion, func(tmp string) error {
		if err := needs("mvn", "maven"); err != nil {
			return err
		}
		pom := filepath.Join(tmp, "pom.xml")
		if err := os.WriteFile(pom, kafkaPOM, 0o644); err != nil {
			return err
		}
		// -C: a file that does not match the repository's checksum is an error.
		mvn := exec.CommandContext(ctx, "mvn", "-q", "-B", "-C", "-f", pom,
			"org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies",
			"-DincludeScope=runtime", "-DoutputDirectory="+filepath.Join(tmp, "libs"))
		if out, err := mvn.CombinedOutput(); err != nil {
			return fmt.Errorf("mvn: %w\n%s", err, lastLines(out, 10))
		}
		return checkSums(filepath.Join(tmp, "libs"), kafkaJars)
	})
	return err
}

func (k kafka) prepare(ctx context.Context, c cache, dir string, ports []int) (command, error) {
	if err := needsJava(ctx); err != nil {
		return command{}, err
	}
	if err := k.fetch(ctx, c); err != nil {
		return command{}, err
	}
	classes := filepath.Join(c.dir, "kafka-"+kafkaVersion, "libs", "*")
	conf := filepath.Join(dir, "server.properties")
	logging := filepath.Join(dir, "log4j2.properties")
	data := filepath.Join(dir, "data")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return command{}, err
	}
	if err := os.WriteFile(conf, []byte(serverProperties(data, ports)), 0o644); err != nil {
		return command{}, err
	}
	if err := os.WriteFile(logging, []byte(log4jProperties), 0o644); err != nil {
		return command{}, err
	}
	java := func(args ...string) []string {
		return append([]string{"java", "-XX:TieredStopAtLevel=1", "-Xshare:auto",
			"-Dlog4j2.configurationFile=file:" + logging, "-cp", classes}, args...)
	}
	if _, err := os.Stat(filepath.Join(data, "meta.properties")); errors.Is(err, os.ErrNotExist) {
		argv := java("kafka.Kafka")
		argv = append(argv[:len(argv)-1], "kafka.tools.StorageTool", "format", "--ignore-formatted",
			"--cluster-id", clusterID, "--config", conf)
		if out, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput(); err != nil {
			return command{}, fmt.Errorf("format %s: %w\n%s", data, err, lastLines(out, 10))
		}
	}
	argv := append([]string{"java", "-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:+ExitOnOutOfMemoryError", "-Xshare:auto",
		"-Dlog4j2.configurationFile=file:" + logging, "-cp", classes}, "kafka.Kafka", conf)
	return command{argv: argv, stop: stopBySignal, grace: 20 * time.Second}, nil
}

// probe asks for the versions of the protocol and for the brokers: the first
// is answered as soon as the socket is served, the second names this broker
// once it is registered.
func (kafka) probe(ctx context.Context, ports []int) error {
	addr := address(ports)
	conn, err := (&kafkago.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return err
	}
	if _, err := conn.ApiVersions(); err != nil {
		return fmt.Errorf("api versions: %w", err)
	}
	brokers, err := conn.Brokers()
	if err != nil {
		return fmt.Errorf("brokers: %w", err)
	}
	for _, b := range brokers {
		if net.JoinHostPort(b.Host, strconv.Itoa(b.Port)) == advertised(ports) {
			return nil
		}
	}
	return fmt.Errorf("%s is not among its %d registered brokers", advertised(ports), len(brokers))
}

func serverProperties(data string, ports []int) string {
	return fmt.Sprintf(`process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:%[3]d
controller.listener.names=CONTROLLER
listeners=CLIENT://127.0.0.1:%[2]d,CONTROLLER://127.0.0.1:%[3]d
advertised.listeners=CLIENT://%[4]s
inter.broker.listener.name=CLIENT
listener.security.protocol.map=CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=%[1]s

# Topics are made by trench topics, never by accident.
auto.create.topics.enable=false
num.partitions=4

# One node holds everything there is.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1

# A laptop's disk is small: at most 1 GiB a partition and one day.
log.retention.bytes=1073741824
log.retention.hours=24
log.segment.bytes=67108864

# Groups form at once, and a broker that was killed may come back after 2 s.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500

num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=16777216
`, data, ports[0], ports[1], advertised(ports))
}

const log4jProperties = `status=warn
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{ISO8601} %p %c{1} %m%n
rootLogger.level=WARN
rootLogger.appenderRef.out.ref=out
logger.server.name=kafka.server.KafkaRaftServer
logger.server.level=INFO
`

// needsJava checks that java is there and new enough.
func needsJava(ctx context.Context) error {
	const pkg = "openjdk-17-jre-headless"
	if err := needs("java", pkg); err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, "java", "-version").CombinedOutput()
	if err != nil {
		return fmt.Errorf("java -version: %w\n%s", err, lastLines(out, 5))
	}
	major, err := javaVersion(string(out))
	if err != nil {
		return err
	}
	if major < javaMajor {
		return fmt.Errorf("java is version %d, Kafka %s needs %d or later (Debian package %s)", major, kafkaVersion, javaMajor, pkg)
	}
	return nil
}

// javaVersion reads the major version out of what java -version prints:
// "17.0.15" is 17, "1.8.0_392" is 8.
func javaVersion(out string) (int, error) {
	m := regexp.MustCompile(`version "([0-9]+)(?:\.([0-9]+))?`).FindStringSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("java -version says nothing known: %q", strings.TrimSpace(out))
	}
	if m[1] == "1" && m[2] != "" {
		return strconv.Atoi(m[2])
	}
	return strconv.Atoi(m[1])
}

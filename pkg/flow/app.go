package flow

// App is an application protocol, recognised by content.
type App uint8

// The application protocols that have a name here. The numbers are those of
// trench.v1.App, so new ones go to the end.
const (
	AppUnknown App = iota
	AppTLS
	AppDTLS
	AppQUIC
	AppDNS
	AppHTTP
	AppSSH
	AppMDNS
	AppLLMNR
	AppADB
	AppAMQP
	AppBACnet
	AppBGP
	AppBitcoin
	AppBitTorrent
	AppCassandra
	AppCoAP
	AppDCERPC
	AppDHCP
	AppDHCPv6
	AppDiameter
	AppDNP3
	AppENIP
	AppFTP
	AppGit
	AppH2C
	AppIEC104
	AppIKE
	AppIMAP
	AppIRC
	AppKafka
	AppKerberos
	AppL2TP
	AppLDAP
	AppMemcached
	AppModbus
	AppMongoDB
	AppMQTT
	AppMySQL
	AppNATS
	AppNetBIOSDatagram
	AppNetBIOSName
	AppNetBIOSSession
	AppNFS
	AppNNTP
	AppNTP
	AppOPCUA
	AppOpenVPN
	AppPOP3
	AppPostgreSQL
	AppPPTP
	AppRADIUS
	AppRDP
	AppRedis
	AppRMI
	AppRPC
	AppRsync
	AppRTCP
	AppRTMP
	AppRTSP
	AppS7Comm
	AppSIP
	AppSMB
	AppSMTP
	AppSNMP
	AppSOCKS4
	AppSOCKS5
	AppSSDP
	AppStratum
	AppSTUN
	AppSyslog
	AppTDS
	AppTeamViewer
	AppTelnet
	AppTFTP
	AppVNC
	AppWireGuard
	AppX11
	AppXMPP
	AppZabbix
	AppPROXY // the header that a load balancer puts before a connection
)

var appNames = [...]string{"",
	"tls", "dtls", "quic", "dns", "http", "ssh", "mdns", "llmnr", "adb", "amqp", "bacnet", "bgp", "bitcoin", "bittorrent",
	"cassandra", "coap", "dcerpc", "dhcp", "dhcpv6", "diameter", "dnp3", "enip", "ftp", "git", "h2c", "iec104", "ike", "imap", "irc",
	"kafka", "kerberos", "l2tp", "ldap", "memcached", "modbus", "mongodb", "mqtt", "mysql", "nats", "netbios-dgm", "netbios-ns",
	"netbios-ssn", "nfs", "nntp", "ntp", "opcua", "openvpn", "pop3", "postgresql", "pptp", "radius", "rdp", "redis", "rmi", "rpc",
	"rsync", "rtcp", "rtmp", "rtsp", "s7comm", "sip", "smb", "smtp", "snmp", "socks4", "socks5", "ssdp", "stratum", "stun", "syslog",
	"tds", "teamviewer", "telnet", "tftp", "vnc", "wireguard", "x11", "xmpp", "zabbix", "proxy",
}

// String returns the name used in records, empty when not recognised.
func (a App) String() string {
	if int(a) < len(appNames) {
		return appNames[a]
	}
	return ""
}

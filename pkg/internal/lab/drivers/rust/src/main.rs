//! Carries out a plan with one of Rust's clients: lab-client STACK PLAN; STACK is ureq, reqwest or rustls.

use std::collections::HashMap;
use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{pem::PemObject, CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme, StreamOwned};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

struct Plan {
    url: String,
    trust: Option<String>,
    identity: Option<(String, String)>,
    steps: Vec<Vec<String>>,
}

impl Plan {
    fn read(path: &str) -> Result<Plan> {
        let mut head: HashMap<String, Vec<String>> = HashMap::new();
        let mut steps = Vec::new();
        for line in std::fs::read_to_string(path)?.lines() {
            let fields: Vec<String> = line.split(' ').map(String::from).collect();
            match fields[0].as_str() {
                "url" | "trust" | "identity" | "nameless" | "sessions" => drop(head.insert(fields[0].clone(), fields)),
                _ => steps.push(fields),
            }
        }
        Ok(Plan {
            url: head["url"][1].clone(),
            trust: Some(head["trust"][1].clone()).filter(|t| t != "any"),
            identity: head.get("identity").map(|f| (f[1].clone(), f[2].clone())),
            steps,
        })
    }

    fn config(&self) -> Result<ClientConfig> {
        let builder = ClientConfig::builder();
        let builder = match &self.trust {
            None => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone)),
            Some(file) => {
                let mut roots = RootCertStore::empty();
                for c in CertificateDer::pem_file_iter(file)? {
                    roots.add(c?)?;
                }
                builder.with_root_certificates(roots)
            }
        };
        Ok(match &self.identity {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => {
                let chain = CertificateDer::pem_file_iter(cert)?.collect::<std::result::Result<Vec<_>, _>>()?;
                builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_file(key)?)?
            }
        })
    }
}

#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

trait Client {
    fn send(&mut self, path: &str, body: Option<Vec<u8>>) -> Result<()>;
    fn raw(&mut self, _: u32, _: u32) -> Result<()> {
        Err("step raw is for rustls".into())
    }
    fn fresh(&mut self);
}

struct Ureq<'a>(&'a Plan, Option<ureq::Agent>);

impl Ureq<'_> {
    fn agent(&mut self) -> Result<ureq::Agent> {
        if self.1.is_none() {
            use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};
            let mut tls = TlsConfig::builder().disable_verification(self.0.trust.is_none());
            if let Some(file) = &self.0.trust {
                let mut roots = Vec::new();
                for c in CertificateDer::pem_file_iter(file)? {
                    roots.push(Certificate::from_der(c?.as_ref()).to_owned());
                }
                tls = tls.root_certs(RootCerts::Specific(Arc::new(roots)));
            }
            if let Some((cert, key)) = &self.0.identity {
                let cert = Certificate::from_pem(&std::fs::read(cert)?)?;
                tls = tls.client_cert(Some(ClientCert::new_with_certs(&[cert], PrivateKey::from_pem(&std::fs::read(key)?)?)));
            }
            let config = ureq::Agent::config_builder().tls_config(tls.build()).http_status_as_error(false).proxy(None).build();
            self.1 = Some(config.new_agent());
        }
        Ok(self.1.clone().unwrap())
    }
}

impl Client for Ureq<'_> {
    fn send(&mut self, path: &str, body: Option<Vec<u8>>) -> Result<()> {
        let (agent, url) = (self.agent()?, format!("{}{}", self.0.url, path));
        let mut response = match body {
            None => agent.get(&url).call()?,
            Some(b) => agent.post(&url).send(&b[..])?,
        };
        std::io::copy(&mut response.body_mut().as_reader(), &mut std::io::sink())?;
        Ok(())
    }
    fn fresh(&mut self) {
        self.1 = None;
    }
}

struct Reqwest<'a>(&'a Plan, Option<reqwest::blocking::Client>);

impl Client for Reqwest<'_> {
    fn send(&mut self, path: &str, body: Option<Vec<u8>>) -> Result<()> {
        if self.1.is_none() {
            self.1 = Some(reqwest::blocking::Client::builder().use_preconfigured_tls(self.0.config()?).no_proxy().build()?);
        }
        let (client, url) = (self.1.as_ref().unwrap(), format!("{}{}", self.0.url, path));
        let request = match body {
            None => client.get(url),
            Some(b) => client.post(url).body(b),
        };
        request.send()?.bytes()?;
        Ok(())
    }
    fn fresh(&mut self) {
        self.1 = None;
    }
}

struct Rustls<'a>(&'a Plan, Arc<ClientConfig>, Option<StreamOwned<ClientConnection, TcpStream>>);

impl Client for Rustls<'_> {
    fn send(&mut self, _: &str, _: Option<Vec<u8>>) -> Result<()> {
        Err("steps get and post are for ureq and reqwest".into())
    }
    fn raw(&mut self, n: u32, m: u32) -> Result<()> {
        if self.2.is_none() {
            let address = self.0.url.trim_start_matches("https://");
            let (host, port) = address.rsplit_once(':').unwrap_or((address, "443"));
            let conn = ClientConnection::new(self.1.clone(), ServerName::try_from(host.to_string())?)?;
            self.2 = Some(StreamOwned::new(conn, TcpStream::connect((host, port.parse()?))?));
        }
        let stream = self.2.as_mut().unwrap();
        let mut message = [n.to_be_bytes(), m.to_be_bytes()].concat();
        message.extend(noise(n as usize));
        stream.write_all(&message)?;
        stream.flush()?;
        stream.read_exact(&mut vec![0; m as usize])?;
        Ok(())
    }
    fn fresh(&mut self) {
        if let Some(mut s) = self.2.take() {
            s.conn.send_close_notify();
            let _ = s.flush();
        }
    }
}

fn noise(n: usize) -> Vec<u8> {
    let mut b = vec![0; n];
    std::fs::File::open("/dev/urandom").and_then(|mut f| f.read_exact(&mut b)).expect("random bytes");
    b
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().collect();
    rustls::crypto::ring::default_provider().install_default().expect("first provider");
    let plan = Plan::read(&args[2])?;
    let mut client: Box<dyn Client + '_> = match args[1].as_str() {
        "ureq" => Box::new(Ureq(&plan, None)),
        "reqwest" => Box::new(Reqwest(&plan, None)),
        _ => Box::new(Rustls(&plan, Arc::new(plan.config()?), None)),
    };
    for s in &plan.steps {
        match s[0].as_str() {
            "sleep" => std::thread::sleep(Duration::from_millis(s[1].parse()?)),
            "fresh" => client.fresh(),
            "get" => client.send(&s[1], None)?,
            "post" => client.send(&s[1], Some(noise(s[2].parse()?)))?,
            "raw" => client.raw(s[1].parse()?, s[2].parse()?)?,
            verb => return Err(format!("step {verb}").into()),
        }
    }
    client.fresh();
    Ok(())
}

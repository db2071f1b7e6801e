//! Certificates for servers in tests, and who trusts them.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer},
};

/// An authority that issues certificates for servers.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

/// What is right or wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Issued {
    ByAuthority,
    Expired,
    NotYet,
    ByItself,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "an authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// Who trusts it, and nobody else.
    pub(crate) fn trusting(&self) -> RootCertStore {
        let mut trusting = RootCertStore::empty();
        trusting.add(self.certificate.clone()).unwrap();
        trusting
    }

    /// A server with a certificate for these names, which offers these protocols.
    pub(crate) fn server(
        &self,
        issued: Issued,
        names: &[&str],
        protocols: &[&[u8]],
    ) -> Arc<ServerConfig> {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        match issued {
            Issued::Expired => params.not_after = date_time_ymd(2020, 1, 1),
            Issued::NotYet => params.not_before = date_time_ymd(4000, 1, 1),
            Issued::ByAuthority | Issued::ByItself => {}
        }
        let key = KeyPair::generate().unwrap();
        let certificate = match issued {
            Issued::ByItself => params.self_signed(&key),
            _ => params.signed_by(&key, &self.issuer),
        };
        let certificate = certificate.unwrap().der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Arc::new(config)
    }
}

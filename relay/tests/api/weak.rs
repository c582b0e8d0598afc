//! Groups for key exchange that nobody should take any more, offered by a client that could not use them itself.

use rustls::crypto::{ActiveKeyExchange, CryptoProvider, SharedSecret, SupportedKxGroup, aws_lc_rs};
use rustls::{Error, NamedGroup};

/// sect163k1, secp160r1, secp192r1, secp224r1, ffdhe2048, each alone, and all.
pub(crate) const WEAK_GROUPS: &[&[&dyn SupportedKxGroup]] = &[
    &[&Weak(0x0001)],
    &[&Weak(0x0010)],
    &[&Weak(0x0013)],
    &[&Weak(0x0015)],
    &[&Weak(0x0100)],
    &[&Weak(0x0001), &Weak(0x0010), &Weak(0x0013), &Weak(0x0015), &Weak(0x0100)],
];

/// Cryptography for TLS 1.3 alone, with these groups.
pub(crate) fn provider(groups: &[&'static dyn SupportedKxGroup]) -> CryptoProvider {
    let mut provider = CryptoProvider { kx_groups: groups.to_vec(), ..aws_lc_rs::default_provider() };
    provider.cipher_suites.retain(|suite| suite.tls13().is_some());
    provider
}

#[derive(Debug, Clone, Copy)]
struct Weak(u16);

impl SupportedKxGroup for Weak {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        Ok(Box::new(*self))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::from(self.0)
    }
}

impl ActiveKeyExchange for Weak {
    fn complete(self: Box<Self>, _: &[u8]) -> Result<SharedSecret, Error> {
        Err(Error::General("the server took a weak group".into()))
    }

    fn pub_key(&self) -> &[u8] {
        &[4; 57]
    }

    fn group(&self) -> NamedGroup {
        self.name()
    }
}

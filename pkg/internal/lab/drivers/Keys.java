import java.io.FileInputStream;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Base64;
import javax.net.ssl.KeyManager;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509ExtendedTrustManager;

/** Makes contexts of PEM files. */
final class Keys {
    static final char[] NONE = new char[0];

    /** cert and key may be null; trust is a PEM file or null for the default; any trusts whoever answers. */
    static SSLContext context(String cert, String key, String trust, boolean any) throws Exception {
        KeyManager[] own = null;
        if (cert != null) {
            KeyStore store = KeyStore.getInstance("PKCS12");
            store.load(null, null);
            Certificate[] chain = read(cert);
            String alg = chain[0].getPublicKey().getAlgorithm();
            String pem = Files.readString(Path.of(key)).replaceAll("-----[^-]*-----|\\s", "");
            var spec = new PKCS8EncodedKeySpec(Base64.getDecoder().decode(pem));
            store.setKeyEntry("k", KeyFactory.getInstance(alg).generatePrivate(spec), NONE, chain);
            KeyManagerFactory f = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
            f.init(store, NONE);
            own = f.getKeyManagers();
        }
        TrustManager[] others = null;
        if (any) {
            others = new TrustManager[] {new Anyone()};
        } else if (trust != null) {
            KeyStore store = KeyStore.getInstance("PKCS12");
            store.load(null, null);
            for (Certificate c : read(trust)) {
                store.setCertificateEntry("c" + store.size(), c);
            }
            TrustManagerFactory f = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
            f.init(store);
            others = f.getTrustManagers();
        }
        SSLContext c = SSLContext.getInstance("TLS");
        c.init(own, others, null);
        return c;
    }

    static Certificate[] read(String file) throws Exception {
        try (var in = new FileInputStream(file)) {
            return CertificateFactory.getInstance("X.509").generateCertificates(in).toArray(new Certificate[0]);
        }
    }

    static final class Anyone extends X509ExtendedTrustManager {
        public void checkClientTrusted(X509Certificate[] c, String a, Socket s) {}

        public void checkServerTrusted(X509Certificate[] c, String a, Socket s) {}

        public void checkClientTrusted(X509Certificate[] c, String a, SSLEngine e) {}

        public void checkServerTrusted(X509Certificate[] c, String a, SSLEngine e) {}

        public void checkClientTrusted(X509Certificate[] c, String a) {}

        public void checkServerTrusted(X509Certificate[] c, String a) {}

        public X509Certificate[] getAcceptedIssuers() {
            return new X509Certificate[0];
        }
    }
}

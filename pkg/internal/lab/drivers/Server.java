// An HTTPS server of the JDK: Server LISTENERS; one listener a line: ADDRESS PORT CERT KEY VERSION.

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsParameters;
import com.sun.net.httpserver.HttpsServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Random;
import java.util.concurrent.Executors;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLParameters;

public class Server {
    static final byte[] NOISE = new byte[8 << 20];

    public static void main(String[] args) throws Exception {
        new Random(1).nextBytes(NOISE);
        var pool = Executors.newCachedThreadPool();
        for (String line : Files.readAllLines(Path.of(args[0]))) {
            String[] f = line.split(" ");
            SSLContext tls = Keys.context(f[2], f[3], null, false);
            HttpsServer server = HttpsServer.create(new InetSocketAddress(f[0], Integer.parseInt(f[1])), 64);
            server.setHttpsConfigurator(new HttpsConfigurator(tls) {
                @Override
                public void configure(HttpsParameters p) {
                    SSLParameters q = tls.getDefaultSSLParameters();
                    q.setProtocols(f[4].equals("1.2") ? new String[] {"TLSv1.2"} : new String[] {"TLSv1.3", "TLSv1.2"});
                    p.setSSLParameters(q);
                }
            });
            server.createContext("/", Server::handle);
            server.setExecutor(pool);
            server.start();
        }
        System.out.println("ready");
        System.in.readAllBytes();
        System.exit(0);
    }

    static void handle(HttpExchange x) throws IOException {
        try (x) {
            String[] f = x.getRequestURI().getPath().substring(1).split("/");
            x.getRequestBody().readAllBytes();
            int n = 0;
            int status = 200;
            switch (f[0]) {
                case "b", "in" -> n = Integer.parseInt(f[1]);
                case "hold" -> {
                    Thread.sleep(Integer.parseInt(f[1]));
                    n = Integer.parseInt(f[2]);
                }
                default -> status = 404;
            }
            x.getResponseHeaders().set("Content-Type", "application/octet-stream");
            x.sendResponseHeaders(status, n == 0 ? -1 : n);
            if (n > 0) {
                x.getResponseBody().write(NOISE, 0, n);
            }
        } catch (InterruptedException err) {
            Thread.currentThread().interrupt();
        }
    }
}

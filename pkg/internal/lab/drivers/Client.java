// Carries out a plan with one of the JDK's clients: Client STACK PLAN; STACK is httpclient or urlconnection.

import java.net.HttpURLConnection;
import java.net.URI;
import java.net.URL;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Random;
import javax.net.ssl.HttpsURLConnection;
import javax.net.ssl.SSLContext;

public class Client {
    interface Requests {
        void send(String method, String url, byte[] body) throws Exception;

        void fresh();
    }

    public static void main(String[] args) throws Exception {
        var head = new HashMap<String, String[]>();
        var lines = Files.readAllLines(Path.of(args[1]));
        for (String line : lines) {
            String[] f = line.split(" ");
            head.put(f[0], f);
        }
        String url = head.get("url")[1];
        String trust = head.get("trust")[1];
        String[] identity = head.getOrDefault("identity", new String[3]);
        boolean any = trust.equals("any");
        SSLContext tls = Keys.context(identity[1], identity[2], any ? null : trust, any);
        Requests client = args[0].equals("httpclient") ? byHttpClient(tls) : byConnection(tls, any, lines.contains("fresh"));
        var random = new Random();
        for (String line : lines) {
            String[] f = line.split(" ");
            switch (f[0]) {
                case "sleep" -> Thread.sleep(Integer.parseInt(f[1]));
                case "fresh" -> client.fresh();
                case "get" -> client.send("GET", url + f[1], null);
                case "post" -> {
                    byte[] body = new byte[Integer.parseInt(f[2])];
                    random.nextBytes(body);
                    client.send("POST", url + f[1], body);
                }
                default -> {}
            }
        }
        System.exit(0);
    }

    static Requests byHttpClient(SSLContext tls) {
        return new Requests() {
            HttpClient client;

            public void fresh() {
                client = null;
                System.gc(); // what an unreachable client of JDK 17 has open is closed so
            }

            public void send(String method, String url, byte[] body) throws Exception {
                if (client == null) {
                    client = HttpClient.newBuilder().sslContext(tls).build();
                }
                var publisher = body == null ? HttpRequest.BodyPublishers.noBody() : HttpRequest.BodyPublishers.ofByteArray(body);
                client.send(HttpRequest.newBuilder(URI.create(url)).method(method, publisher).build(), HttpResponse.BodyHandlers.discarding());
            }
        };
    }

    static Requests byConnection(SSLContext tls, boolean any, boolean close) {
        HttpsURLConnection.setDefaultSSLSocketFactory(tls.getSocketFactory());
        if (any) {
            HttpsURLConnection.setDefaultHostnameVerifier((name, session) -> true);
        }
        return new Requests() {
            public void fresh() {} // what disconnect() leaves open is used again, so the requests say it

            public void send(String method, String url, byte[] body) throws Exception {
                var c = (HttpURLConnection) new URL(url).openConnection();
                if (close) {
                    c.setRequestProperty("Connection", "close");
                }
                c.setRequestMethod(method);
                if (body != null) {
                    c.setDoOutput(true);
                    c.setFixedLengthStreamingMode(body.length);
                    c.getOutputStream().write(body);
                }
                try (var in = c.getResponseCode() < 400 ? c.getInputStream() : c.getErrorStream()) {
                    if (in != null) {
                        in.readAllBytes();
                    }
                }
            }
        };
    }
}

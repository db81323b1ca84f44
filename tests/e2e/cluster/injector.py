"""A mutating webhook as service meshes have them: puts a container in front of all others."""
import base64
import http.server
import json
import ssl
import threading

NAME = "zz-injector"


class Injector:
    """Use as a context. Told to the API server by URL; `calls` counts the reviews that it patched."""

    def __init__(self, plane):
        self._admin, self.calls = plane.admin, 0
        certificate, key = plane.ca.issue(NAME, NAME, None, ["localhost", "127.0.0.1"])
        injector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):  # pylint: disable=invalid-name
                review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                body = json.dumps(injector.answer(review["request"])).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._bundle = base64.b64encode(plane.ca.certificate.read_bytes()).decode()

    def answer(self, request):
        response = {"uid": request["uid"], "allowed": True}
        if request["object"]["spec"]["containers"][0]["name"] != "injected":
            self.calls += 1
            patch = [{"op": "add", "path": "/spec/containers/0",
                      "value": {"name": "injected", "image": "registry.invalid/mesh:1"}}]
            response |= {"patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(patch).encode()).decode()}
        return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self._admin.create("mutatingwebhookconfigurations", {
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration",
            "metadata": {"name": NAME},
            "webhooks": [{"name": "injector.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None",
                          "clientConfig": {"url": f"https://localhost:{self._server.server_port}/", "caBundle": self._bundle},
                          "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"],
                                     "resources": ["pods"]}]}]})
        return self

    def __exit__(self, *_):
        self._admin.delete("mutatingwebhookconfigurations", NAME)
        self._server.shutdown()

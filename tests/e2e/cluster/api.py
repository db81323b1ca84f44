"""The API server over HTTPS: JSON in, JSON out. Objects are plain dicts, so nothing of them is lost."""
import json
import threading

import requests


class ApiError(AssertionError):
    """A Status that is no success."""

    def __init__(self, verb, url, response):
        try:
            self.status = response.json()
        except ValueError:
            self.status = {"message": response.text}
        self.code = response.status_code
        self.message = self.status.get("message", "")
        super().__init__(f"{verb} {url}: {self.code} {self.message}")


# Plural name -> (group and version, namespaced). What the tests speak of; everything else goes through kubectl.
RESOURCES = {
    "pods": ("v1", True), "nodes": ("v1", False), "namespaces": ("v1", False), "events": ("v1", True),
    "secrets": ("v1", True), "configmaps": ("v1", True), "services": ("v1", True), "serviceaccounts": ("v1", True),
    "resourcequotas": ("v1", True), "endpointslices": ("discovery.k8s.io/v1", True),
    "deployments": ("apps/v1", True), "daemonsets": ("apps/v1", True), "replicasets": ("apps/v1", True),
    "jobs": ("batch/v1", True), "priorityclasses": ("scheduling.k8s.io/v1", False),
    "runtimeclasses": ("node.k8s.io/v1", False), "leases": ("coordination.k8s.io/v1", True),
    "rolebindings": ("rbac.authorization.k8s.io/v1", True),
    "clusterroles": ("rbac.authorization.k8s.io/v1", False),
    "clusterrolebindings": ("rbac.authorization.k8s.io/v1", False),
    "mutatingwebhookconfigurations": ("admissionregistration.k8s.io/v1", False),
    "validatingadmissionpolicies": ("admissionregistration.k8s.io/v1", False),
    "validatingadmissionpolicybindings": ("admissionregistration.k8s.io/v1", False),
}


class Api:
    """One identity's view of the API server. Thread-safe: a connection pool for each thread."""

    def __init__(self, url, ca, certificate=None, token=None, impersonate=None):
        self.url, self.ca, self.user = url, str(ca), impersonate
        self._certificate = tuple(map(str, certificate)) if certificate else None
        self._headers = {"User-Agent": "tessera-e2e"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        if impersonate:
            self._headers["Impersonate-User"] = impersonate
        self._local = threading.local()

    def as_user(self, name):
        """The same server as another user (impersonation)."""
        other = Api(self.url, self.ca, self._certificate, impersonate=name)
        if "Authorization" in self._headers:
            other._headers["Authorization"] = self._headers["Authorization"]
        return other

    def with_token(self, token):
        return Api(self.url, self.ca, token=token)

    def session(self):
        if not hasattr(self._local, "session"):
            session = requests.Session()
            session.verify, session.cert = self.ca, self._certificate
            session.headers.update(self._headers)
            session.trust_env = False
            self._local.session = session
        return self._local.session

    def path(self, resource, namespace=None, name=None, sub=None):
        version, namespaced = RESOURCES[resource]
        parts = ["/api" if "/" not in version else "/apis", version]
        if namespaced and namespace:
            parts += ["namespaces", namespace]
        parts += [resource] + [part for part in (name, sub) if part]
        return "/".join(parts)

    def request(self, verb, path, body=None, params=None, content_type="application/json", timeout=60):
        response = self.session().request(verb, self.url + path, params=params, timeout=timeout,
                                          data=None if body is None else json.dumps(body),
                                          headers={"Content-Type": content_type})
        if response.status_code >= 300:
            raise ApiError(verb, path, response)
        return response.json() if "json" in response.headers.get("Content-Type", "") else response.text

    def get(self, resource, name, namespace="default"):
        return self.request("GET", self.path(resource, namespace, name))

    def find(self, resource, name, namespace="default"):
        """The object, or None if there is none."""
        try:
            return self.get(resource, name, namespace)
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    def list(self, resource, namespace=None, **params):
        return self.request("GET", self.path(resource, namespace), params=params)["items"]

    def create(self, resource, body, namespace=None, **params):
        where = namespace or body.get("metadata", {}).get("namespace", "default")
        return self.request("POST", self.path(resource, where), body, params)

    def create_sub(self, resource, name, sub, body, namespace="default", **params):
        return self.request("POST", self.path(resource, namespace, name, sub), body, params)

    def update(self, resource, body, sub=None, **params):
        meta = body["metadata"]
        return self.request("PUT", self.path(resource, meta.get("namespace"), meta["name"], sub), body, params)

    def patch(self, resource, name, body, namespace="default", sub=None, kind="merge", **params):
        return self.request("PATCH", self.path(resource, namespace, name, sub), body, params,
                            content_type=f"application/{kind}-patch+json")

    def delete(self, resource, name, namespace="default", grace=None):
        body = {} if grace is None else {"gracePeriodSeconds": grace}
        try:
            return self.request("DELETE", self.path(resource, namespace, name), body)
        except ApiError as error:
            if error.code != 404:
                raise
            return None

    def delete_all(self, resource, namespace, **params):
        return self.request("DELETE", self.path(resource, namespace), {"gracePeriodSeconds": 0}, params)

    def watch(self, resource, namespace=None, resource_version=None, stop=None, **params):
        """Yields (type, object) until `stop` (an Event) is set or the server ends the watch."""
        params = {"watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": "600", **params}
        if resource_version is not None:
            params["resourceVersion"] = resource_version
        with self.session().get(self.url + self.path(resource, namespace), params=params, stream=True,
                                timeout=(10, 620)) as response:
            if response.status_code >= 300:
                raise ApiError("WATCH", resource, response)
            for line in response.iter_lines(chunk_size=65536):
                if stop is not None and stop.is_set():
                    return
                if line:
                    event = json.loads(line)
                    yield event["type"], event["object"]

    def follow(self, resource, namespace, stop):
        """Lists and watches on and on, over ends, cut connections and restarts of the API server, until `stop` is set.
        Yields ("LIST", all objects) at first and wherever events may have been lost, else (type, object)."""
        version = None
        while not stop.is_set():
            try:
                if version is None:
                    listed = self.request("GET", self.path(resource, namespace))
                    version = listed["metadata"]["resourceVersion"]
                    yield "LIST", listed["items"]
                for kind, item in self.watch(resource, namespace, version, stop):
                    if kind == "ERROR":
                        version = None
                        break
                    version = item["metadata"]["resourceVersion"]
                    if kind != "BOOKMARK":
                        yield kind, item
            except ApiError as error:  # not ready, does not know rights yet, or forgot where we were
                version = None if error.code == 410 else version
                stop.wait(0.2)
            except requests.RequestException:
                stop.wait(0.2)

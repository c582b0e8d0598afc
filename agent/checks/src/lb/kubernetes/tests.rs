//! What is read of manifests: from a file down to one probe.
#![allow(clippy::unwrap_used)]

use crate::host::fixture::Fixture;
use crate::lb::detect::{Detection, detection};
use crate::lb::{Active, Fleet, Layer, Probe};
use cloud_doctor_proto::finding::Status;

const PATH: &str = "/etc/kubernetes/manifests/web.yaml";

fn read(text: &str) -> Fleet {
    super::read(&Fixture::image().file(PATH, text).host()).unwrap()
}

/// A Deployment of two replicas with one container, and what stands in the container besides.
fn deployment(container: &str) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\n  namespace: prod\nspec:\n  replicas: 2\n  template:\n    metadata:\n      labels: {{app: web, tier: front}}\n    \
         spec:\n      containers:\n      - name: nginx\n        image: nginx\n        ports:\n        - containerPort: 8081\n          name: main\n{container}"
    )
}

const SERVICE: &str = "---\napiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: prod}\nspec:\n  selector: {app: web}\n  ports: [{port: 80, targetPort: main}]\n";

fn readiness(settings: &str) -> String {
    deployment(&format!("        readinessProbe:\n          httpGet: {{path: /ready, port: main}}\n{settings}"))
}

fn active(fleet: &Fleet, index: usize) -> &Active {
    let probe = &fleet.pools[0].members[index].probe;
    let Probe::Active(active) = probe else { panic!("{probe:?}") };
    active
}

fn times(fleet: &Fleet, index: usize) -> (f64, f64, f64) {
    let Detection { refused_secs, hanging_secs, return_secs } = detection(active(fleet, index));
    (refused_secs, hanging_secs, return_secs)
}

#[test]
fn lb_01_readiness_probes_are_read_as_they_are_in_effect() {
    let set = "          periodSeconds: 5\n          timeoutSeconds: 3\n          failureThreshold: 2\n          successThreshold: 4\n";
    let list = r#"{"apiVersion":"v1","kind":"List","items":[{"kind":"Pod","metadata":{"name":"a"},"spec":{"containers":[{"name":"a","readinessProbe":{"tcpSocket":{"port":1},"periodSeconds":2}}]}}]}"#;
    for (name, text, expected) in [
        ("defaults", readiness(""), (30.0, 31.0, 10.0)),
        ("set", readiness(set), (10.0, 13.0, 20.0)),
        (
            "zero is the default",
            readiness("          periodSeconds: 0\n          timeoutSeconds: 0\n"),
            (30.0, 31.0, 10.0),
        ),
        ("null is the default", readiness("          periodSeconds:\n"), (30.0, 31.0, 10.0)),
        ("comments", readiness("          # periodSeconds: 99\n"), (30.0, 31.0, 10.0)),
        (
            "the last of two keys",
            readiness("          periodSeconds: 5\n          periodSeconds: 2\n"),
            (6.0, 7.0, 2.0),
        ),
        (
            "timeout above the period",
            readiness("          periodSeconds: 1\n          timeoutSeconds: 15\n"),
            (3.0, 46.0, 1.0),
        ),
        ("merge", format!("x: &x {{periodSeconds: 4}}\n{}", readiness("          <<: *x\n")), (12.0, 13.0, 4.0)),
        ("a list in json", list.into(), (6.0, 7.0, 2.0)),
        (
            "second document",
            format!("# first\n---\nkind: ConfigMap\nmetadata: {{name: a}}\n---\n{}", readiness("")),
            (30.0, 31.0, 10.0),
        ),
        ("the seed case", readiness("          periodSeconds: 300\n"), (900.0, 901.0, 300.0)),
        (
            "liveness alone, with the grace",
            deployment("        livenessProbe: {exec: {command: [a]}}\n") + SERVICE,
            (30.0, 61.0, 10.0),
        ),
        (
            "its own grace",
            deployment("        livenessProbe: {grpc: {port: 1}, terminationGracePeriodSeconds: 5}\n") + SERVICE,
            (30.0, 36.0, 10.0),
        ),
    ] {
        let fleet = read(&text);
        assert_eq!(times(&fleet, 0), expected, "{name}");
        assert!(fleet.troubles.is_empty(), "{name}");
    }
    let fleet = read(&readiness(set));
    assert_eq!(fleet.pools[0].subject(), "kubernetes workload prod/deployment/web");
    assert_eq!(
        active(&fleet, 0).interval.clone().origin,
        crate::lb::Origin::At(crate::lb::Place { file: PATH.into(), line: 20, text: "periodSeconds: 5".into() })
    );
}

#[test]
fn lb_01_the_seed_case_of_kubernetes_is_critical_and_a_control_plane_is_not() {
    let api_server = "kind: Pod\nmetadata: {name: kube-apiserver, namespace: kube-system}\nspec:\n  containers:\n  - name: kube-apiserver\n    \
                      livenessProbe: {httpGet: {host: 10.0.0.1, path: /livez, port: 6443, scheme: HTTPS}, failureThreshold: 8, periodSeconds: 10, timeoutSeconds: 15}\n    \
                      readinessProbe: {httpGet: {host: 10.0.0.1, path: /readyz, port: 6443, scheme: HTTPS}, failureThreshold: 3, periodSeconds: 1, timeoutSeconds: 15}\n";
    for (text, status, secs) in [
        (readiness("          periodSeconds: 300\n"), Status::Critical, 901.0),
        (api_server.to_owned(), Status::Ok, 46.0),
    ] {
        let findings = Fixture::image().file(PATH, text).run(&crate::lb::detection_time::CHECK);
        assert_eq!((findings[0].status, findings[0].value), (status, Some(secs)));
    }
}

#[test]
fn lb_04_a_container_behind_a_service_without_a_probe_is_never_missed() {
    let sidecar = "      - name: sidecar\n        readinessProbe: {tcpSocket: {port: 15021}}\n";
    for (name, text, expected) in [
        ("each replica", deployment("") + SERVICE, "nginx never, nginx#2 never"),
        ("no service", deployment(""), ""),
        ("another namespace", deployment("") + &SERVICE.replace("prod", "test"), ""),
        ("another label", deployment("") + &SERVICE.replace("{app: web}", "{app: web, tier: back}"), ""),
        ("no selector", deployment("") + &SERVICE.replace("selector: {app: web}", "selector: {}"), ""),
        ("one replica", deployment("").replace("replicas: 2", "replicas: 1") + SERVICE, "nginx never"),
        (
            "many",
            deployment("").replace("replicas: 2", "replicas: 4000000000").matches("4000000000").collect::<String>(),
            "",
        ),
        (
            "a sidecar's probe is not the container's",
            deployment(sidecar) + SERVICE,
            "nginx never, nginx#2 never, sidecar active",
        ),
        ("the sidecar is no target", deployment("      - name: sidecar\n") + SERVICE, "nginx never, nginx#2 never"),
        ("quoted number", readiness("          periodSeconds: '5'\n"), "nginx unresolved"),
        ("below zero", readiness("          periodSeconds: -5\n"), "nginx unresolved"),
        ("unit", readiness("          periodSeconds: 5s\n"), "nginx unresolved"),
        ("no kind", deployment("        readinessProbe: {periodSeconds: 5}\n"), "nginx unresolved"),
        ("template", readiness("          periodSeconds: {{ .Values.period }}\n"), "nginx unresolved"),
    ] {
        let fleet = super::read(&Fixture::image().file(PATH, &text).host()).unwrap_or_default();
        let members = fleet.pools.iter().flat_map(|pool| &pool.members).map(|member| {
            let probe = match &member.probe {
                Probe::Active(_) => "active",
                Probe::Never => "never",
                Probe::Unresolved(_) => "unresolved",
                Probe::Passive { .. } | Probe::Tracks(_) => "else",
            };
            format!("{} {probe}", member.name)
        });
        assert_eq!(members.collect::<Vec<_>>().join(", "), expected, "{name}");
    }
}

#[test]
fn lb_07_and_lb_09_layers_and_other_ports() {
    let tcp = |port: &str| deployment(&format!("        readinessProbe: {{tcpSocket: {{port: {port}}}}}\n"));
    for (name, text, service, probe, elsewhere) in [
        ("http", readiness(""), Layer::Http, Layer::Http, false),
        ("tcp", tcp("main"), Layer::Tcp, Layer::Tcp, false),
        (
            "tcp on a port named http",
            tcp("http-main").replace("name: main", "name: http-main"),
            Layer::Http,
            Layer::Tcp,
            false,
        ),
        ("tcp on 8080", tcp("8080").replace("8081", "8080"), Layer::Http, Layer::Tcp, false),
        ("another port", tcp("9000"), Layer::Tcp, Layer::Tcp, true),
        ("no ports listed", tcp("9000").replace("ports", "volumes"), Layer::Tcp, Layer::Tcp, false),
        (
            "said",
            tcp("main") + &SERVICE.replace("port: 80,", "port: 80, appProtocol: http,"),
            Layer::Http,
            Layer::Tcp,
            false,
        ),
        ("grpc", deployment("        readinessProbe: {grpc: {port: 8081}}\n"), Layer::Tcp, Layer::Protocol, false),
        ("exec", deployment("        readinessProbe: {exec: {command: [cat]}}\n"), Layer::Tcp, Layer::Protocol, false),
    ] {
        let fleet = read(&text);
        let active = active(&fleet, 0);
        assert_eq!(
            (fleet.pools[0].layer, active.layer, active.elsewhere.is_some()),
            (service, probe, elsewhere),
            "{name}"
        );
    }
}

/// A Service of one port with these annotations.
fn balancer(annotations: &str) -> String {
    format!(
        "kind: Service\nmetadata:\n  name: web\n  annotations:\n{annotations}spec:\n  type: LoadBalancer\n  ports: [{{port: 80, protocol: TCP}}]\n"
    )
}

#[test]
fn lb_01_alibaba_cloud_services_are_checked_as_their_annotations_say() {
    let with = |settings: &[(&str, &str)]| {
        let lines = settings.iter().map(|(key, value)| {
            format!("    service.beta.kubernetes.io/alibaba-cloud-loadbalancer-{key}: \"{value}\"\n")
        });
        balancer(&lines.collect::<String>())
    };
    let http = |flag: &str| with(&[("protocol-port", "https:443,http:80"), ("health-check-flag", flag)]);
    for (name, text, expected) in [
        ("defaults", with(&[("spec", "slb.s1.small")]), "tcp:80 Tcp 6/21/6"),
        ("old names", with(&[("spec", "x")]).replace("alibaba-cloud", "alicloud"), "tcp:80 Tcp 6/21/6"),
        (
            "set",
            with(&[
                ("health-check-interval", "50"),
                ("unhealthy-threshold", "10"),
                ("health-check-connect-timeout", "300"),
            ]),
            "tcp:80 Tcp 500/3500/150",
        ),
        (
            "a timeout below the interval becomes it",
            with(&[("health-check-interval", "10"), ("health-check-connect-timeout", "1")]),
            "tcp:80 Tcp 30/60/30",
        ),
        (
            "http on a tcp listener",
            with(&[("health-check-type", "http"), ("health-check-connect-timeout", "8")]),
            "tcp:80 Http 6/30/6",
        ),
        ("switched off", with(&[("health-check-switch", "off")]), "tcp:80 never"),
        (
            "the switch is not HTTP's",
            with(&[("health-check-switch", "on"), ("protocol-port", "http:80")]),
            "http:80 never",
        ),
        ("the flag is not TCP's", with(&[("health-check-flag", "off")]), "tcp:80 Tcp 6/21/6"),
        ("http listeners are not checked", with(&[("protocol-port", "https:443,http:80")]), "http:80 never"),
        ("off", http("off"), "http:80 never"),
        ("on", http("on"), "http:80 Http 6/21/6"),
        ("above the limit", with(&[("health-check-interval", "300")]), "tcp:80 unresolved"),
        ("not a number", with(&[("healthy-threshold", "three")]), "tcp:80 unresolved"),
        ("an existing one", with(&[("id", "lb-1")]), "tcp:80 unresolved"),
        (
            "an existing one, overwritten",
            with(&[("id", "lb-1"), ("force-override-listeners", "true")]),
            "tcp:80 Tcp 6/21/6",
        ),
        (
            "nlb",
            with(&[("spec", "x")]).replace("LoadBalancer", "LoadBalancer\n  loadBalancerClass: alibabacloud.com/nlb"),
            "tcp:80 Tcp 20/30/20",
        ),
        ("of nobody", balancer("    a: b\n"), ""),
        ("no load balancer", with(&[("spec", "x")]).replace("LoadBalancer", "ClusterIP"), ""),
    ] {
        assert_eq!(shown(&read(&text)), expected, "{name}");
    }
}

#[test]
fn lb_01_aws_services_are_checked_as_their_annotations_say() {
    let with = |settings: &[(&str, &str)]| {
        let lines = settings
            .iter()
            .map(|(key, value)| format!("    service.beta.kubernetes.io/aws-load-balancer-{key}: \"{value}\"\n"));
        balancer(&lines.collect::<String>())
    };
    let external = ("type", "external");
    for (name, text, expected) in [
        ("defaults", with(&[external]), "port 80 Tcp 30/40/30"),
        (
            "http",
            with(&[
                external,
                ("healthcheck-protocol", "http"),
                ("healthcheck-interval", "30"),
                ("healthcheck-timeout", "6"),
            ]),
            "port 80 Http 90/96/90",
        ),
        (
            "300 s is the most",
            with(&[external, ("healthcheck-interval", "300"), ("healthcheck-unhealthy-threshold", "2")]),
            "port 80 Tcp 600/610/900",
        ),
        ("above", with(&[external, ("healthcheck-interval", "301")]), "port 80 unresolved"),
        ("who makes it is not known", with(&[("internal", "true")]), "port 80 unresolved"),
        (
            "by its class",
            balancer("    a: b\n").replace("LoadBalancer", "LoadBalancer\n  loadBalancerClass: service.k8s.aws/nlb"),
            "port 80 Tcp 30/40/30",
        ),
    ] {
        assert_eq!(shown(&read(&text)), expected, "{name}");
    }
}

#[test]
fn lb_01_ingresses_are_checked_as_the_cloud_does_that_reads_them() {
    let with = |settings: &[(&str, &str)]| {
        let lines = settings.iter().map(|(key, value)| format!("    alb.ingress.kubernetes.io/{key}: \"{value}\"\n"));
        let annotations: String = lines.collect();
        format!(
            "kind: Ingress\nmetadata:\n  name: web\n  annotations:\n    x: y\n{annotations}spec:\n  ingressClassName: alb\n  rules:\n  - http: {{paths: [{{backend: {{service: {{name: web}}}}}}, {{backend: {{serviceName: web}}}}]}}\n"
        )
    };
    let class = |controller: &str| {
        format!("---\nkind: IngressClass\nmetadata: {{name: alb}}\nspec: {{controller: {controller}}}\n")
    };
    let own = "---\nkind: Service\nmetadata:\n  name: web\n  annotations: {alb.ingress.kubernetes.io/healthcheck-interval-seconds: '60', alb.ingress.kubernetes.io/success-codes: 200-499}\n";
    for (name, text, expected) in [
        ("alibaba, off by default", with(&[("address-type", "internet")]), "web never"),
        ("alibaba, on", with(&[("healthcheck-enabled", "true")]), "web Http 6/21/6"),
        (
            "alibaba, set",
            with(&[
                ("healthcheck-enabled", "true"),
                ("healthcheck-interval-seconds", "10"),
                ("healthcheck-protocol", "TCP"),
            ]),
            "web Tcp 30/45/30",
        ),
        ("alibaba by its class", with(&[]) + &class("ingress.k8s.alibabacloud/alb"), "web never"),
        (
            "alibaba, above the limit",
            with(&[("healthcheck-enabled", "true"), ("healthcheck-interval-seconds", "60")]),
            "web unresolved",
        ),
        ("aws", with(&[("scheme", "internal")]), "web Http 30/35/30"),
        (
            "aws by its class",
            with(&[("healthcheck-interval-seconds", "300")]) + &class("ingress.k8s.aws/alb"),
            "web Http 600/605/600",
        ),
        (
            "aws, the service's own go first",
            with(&[("target-type", "ip"), ("healthcheck-interval-seconds", "5")]) + own,
            "web Http 120/125/120",
        ),
        ("nobody knows", with(&[]), ""),
        ("both", with(&[("scheme", "internal"), ("healthcheck-enabled", "true")]), ""),
        ("another class", with(&[]).replace("ingressClassName: alb", "ingressClassName: nginx"), ""),
    ] {
        let fleet = read(&text);
        assert_eq!(shown(&fleet), expected, "{name}");
        assert_eq!(fleet.troubles.len(), usize::from(["nobody knows", "both"].contains(&name)), "{name}");
    }
}

#[test]
fn lb_10_clouds_take_the_statuses_that_are_set() {
    let service = |line: &str| balancer(&format!("    service.beta.kubernetes.io/{line}\n"));
    for (text, ranges) in [
        (service("alibaba-cloud-loadbalancer-health-check-httpcode: http_2xx,http_4xx"), &[(200, 299), (400, 499)][..]),
        (service("alibaba-cloud-loadbalancer-health-check-httpcode: all"), &[]),
        (service("aws-load-balancer-healthcheck-success-codes: 200-399, 401"), &[(200, 399), (401, 401)]),
        (service("aws-load-balancer-healthcheck-success-codes: 399-200"), &[]),
        (service("aws-load-balancer-type: external"), &[]),
    ] {
        assert_eq!(read(&text).accepted.first().map_or(&[][..], |one| &one.ranges), ranges, "{text}");
    }
}

fn shown(fleet: &Fleet) -> String {
    let members = fleet.pools.iter().flat_map(|pool| &pool.members).map(|member| match &member.probe {
        Probe::Active(active) => {
            let Detection { refused_secs, hanging_secs, return_secs } = detection(active);
            format!("{} {:?} {refused_secs}/{hanging_secs}/{return_secs}", member.name, active.layer)
        }
        Probe::Never => format!("{} never", member.name),
        Probe::Unresolved(_) => format!("{} unresolved", member.name),
        Probe::Passive { .. } | Probe::Tracks(_) => format!("{} else", member.name),
    });
    members.collect::<Vec<_>>().join(", ")
}

#[test]
fn lb_01_manifests_are_those_that_a_kubelet_applies_and_in_an_image_those_that_are_given() {
    let pod = |name: &str| {
        format!(
            "kind: Pod\nmetadata: {{name: {name}}}\nspec: {{containers: [{{name: a, readinessProbe: {{exec: {{}}}}}}]}}\n"
        )
    };
    let all = |fixture: Fixture| {
        fixture
            .file("/etc/kubernetes/manifests/a.yaml", pod("a"))
            .file("/etc/kubernetes/manifests/a.yaml.bak", pod("backup"))
            .file("/var/lib/rancher/k3s/server/manifests/b.yml", pod("b"))
            .file("/var/lib/kubelet/config.yaml", "staticPodPath: /srv/pods\n")
            .file(
                "/srv/pods/c.json",
                r#"{"kind":"Pod","metadata":{"name":"c"},"spec":{"containers":[{"readinessProbe":{"exec":{}}}]}}"#,
            )
            .file("/manifests/team/d.yaml", pod("d"))
    };
    for (fixture, expected) in [(all(Fixture::live()), "a c b"), (all(Fixture::image()), "a d c b")] {
        let fleet = super::read(&fixture.host()).unwrap();
        let names: Vec<&str> = fleet.pools.iter().map(|pool| pool.name.rsplit('/').next().unwrap()).collect();
        assert_eq!(names.join(" "), expected);
    }
    assert!(super::read(&Fixture::image().file("/etc/kubernetes/admin.conf", "x").host()).is_none());
}

#[test]
fn chk_04_junk_is_a_trouble_with_its_line_and_never_a_panic() {
    for (text, part) in [
        ("kind: Pod\nspec:\n\t- x\n", "line 3"),
        ("{{- if .Values.x }}\nkind: Pod\n{{- end }}\n", "line"),
        (&"[".repeat(50_000), "line 1"),
    ] {
        let fleet = read(text);
        assert!(fleet.troubles.iter().any(|trouble| trouble.why.en.contains(part)), "{text:.40}: {:?}", fleet.troubles);
    }
    let whole = readiness("          periodSeconds: 5\n") + SERVICE;
    for cut in 0..whole.len() {
        super::read(&Fixture::image().file(PATH, &whole[..cut]).host());
    }
    for text in
        ["", "5", "- 1\n", "kind: [Pod]\nmetadata: x\n", "kind: Pod\nmetadata: {name: a}\nspec: {containers: {a: b}}\n"]
    {
        super::read(&Fixture::image().file(PATH, text).host());
    }
}

#[test]
fn chk_03_a_folder_that_cannot_be_listed_is_a_trouble_and_not_nothing() {
    let fixture = Fixture::image().file("/etc/kubernetes/admin.conf", "x").file("/etc/envoy.conf", "x");
    for folder in ["/etc/kubernetes/manifests", "/etc/envoy"] {
        // A link to itself: nobody can list it, root included.
        std::os::unix::fs::symlink(folder.rsplit('/').next().unwrap(), fixture.path(folder)).unwrap();
    }
    let host = fixture.host();
    assert_eq!(super::read(&host).unwrap().troubles.len(), 1);
    assert_eq!(crate::lb::envoy::read(&host).unwrap().troubles.len(), 1);
}

#[test]
fn chk_02_many_objects_are_bounded() {
    let service = SERVICE.repeat(2500);
    let fleet = read(&(deployment("") + &service));
    assert!(
        fleet.troubles.iter().any(|trouble| trouble.why.en.contains("more than 2000 objects")),
        "{:?}",
        fleet.troubles
    );
}

// The journeys of `make run`, played with the generated TypeScript client:
//   node journey.js http://127.0.0.1:8080 plan.json [http://127.0.0.1:8081, a proxy before the API]
// What came of them, as the API tells it, is printed as JSON.
import { randomInt, randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import createClient, { type Client } from "openapi-fetch";
import type { components, paths } from "./platform.js"; // generated

type Schemas = components["schemas"];
type Api = Client<paths>;

// How a claim ends, by whom the payer pays.
const ENDS: Record<Schemas["PaidTo"], Schemas["LegRead"]["state"][]> = { provider: ["paid", "rejected"], insured: ["acked"] };

interface Journey {
    number: string;
    practitioner: Schemas["PractitionerCreate"];
    agenda: Schemas["AgendaWrite"];
    patient: Schemas["PatientCreate"];
    consent: Schemas["ConsentCreate"];
    coverage: Schemas["CoverageWrite"];
    coverage_later: Schemas["CoverageWrite"] | null;
    amc: { contracted: boolean; member_number: string } | null;
    rejection: object | null;
    card: object;
    mandate: Schemas["MandateCreate"];
    challenge: "accept" | "refuse" | null;
    care: Pick<Schemas["AppointmentCreate"], "pathway" | "territory" | "exemption_related">;
    reason_code: string;
    notice_minutes: number;
    prescriptions: Schemas["PrescriptionCreate"][];
    completion: Schemas["CompletionCreate"];
    ending: "completed" | "cancelled" | "unsuitable" | "refused";
}

interface Answer<T> {
    data?: T;
    error?: { type: string; detail: string };
    response: Response;
}

interface Outcome {
    number: string;
    status: string;
    fee: number;
    advance: number;
    held: number;
    captured: number;
    released: number;
    balance: number;
    withheld_later: number;
    sheet: string;
    claims: { payer: string; amount: number; state: string }[];
    documents: { kind: string; folder: string | null }[];
    explanations: string[];
    explanations_en: string[];
}

const PATIENCE = 120_000;
const [front = "http://127.0.0.1:8080", file = "plan.json", gate = front] = process.argv.slice(2);
const administrator = randomUUID();
const key = () => ({ "Idempotency-Key": randomUUID() });

async function person(role: string, subject: string, more: Record<string, string> = {}): Promise<Api> {
    const form = new URLSearchParams({ grant_type: "urn:dev:person", role, subject, ...more });
    const answer = await fetch(`${front}/simulators/issuer/token`, { method: "POST", body: form });
    const { access_token } = (await answer.json()) as { access_token: string };
    return createClient<paths>({ baseUrl: gate, headers: { Authorization: `Bearer ${access_token}` } });
}

/** The card provider's page, or the controls of a simulator: what is not the platform. */
async function outside(path: string, body: object): Promise<unknown> {
    const url = path.startsWith("http") ? path : `${front}/simulators${path}`;
    const headers = { "Content-Type": "application/json" };
    const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
    const text = await answer.text();
    return text === "" ? undefined : JSON.parse(text);
}

/** What came back; a refusal is an error that says which. */
function good<T>(answer: Answer<T>): T {
    if (answer.error !== undefined) {
        throw new Error(`${answer.response.url}: ${answer.response.status} ${JSON.stringify(answer.error)}`);
    }
    return answer.data as T;
}

/** Asks until it is there and as wanted: what another service will tell takes a moment. */
async function until<T>(ask: () => Promise<Answer<T>>, wanted: (found: T) => boolean = () => true): Promise<T> {
    const deadline = Date.now() + PATIENCE;
    for (;;) {
        const answer = await ask();
        const later = answer.error !== undefined && answer.response.headers.has("Retry-After");
        if (!later && wanted(good(answer))) return good(answer);
        if (Date.now() > deadline) throw new Error(`${answer.response.url} stays ${JSON.stringify(answer.data ?? answer.error)}`);
        await pause(200);
    }
}

async function doctorWithAgenda(journey: Journey): Promise<{ doctor: Api; practitioner_id: string }> {
    const rpps = `1${randomInt(10 ** 10).toString().padStart(10, "0")}`;
    const admin = await person("administrator", administrator);
    const body = { ...journey.practitioner, rpps };
    const made = good(await admin.POST("/booking/v1/practitioners", { params: { header: key() }, body }));
    const path = { practitioner_id: made.id };
    good(await admin.PUT("/booking/v1/practitioners/{practitioner_id}/agenda", { params: { path }, body: journey.agenda }));
    return { doctor: await person("practitioner", randomUUID(), { rpps }), practitioner_id: made.id };
}

async function cover(me: Api, patient_id: string, coverage: Schemas["CoverageWrite"], journey: Journey): Promise<void> {
    const body = { ...coverage };
    if (journey.amc !== null) {
        const { contracted, member_number } = journey.amc;
        const query = { q: "99100" };
        const { items } = good(await me.GET("/claims/v1/amc-directory", { params: { query } }));
        const found = items.find((each) => each.contracted === contracted);
        if (found === undefined) throw new Error("the directory has no such insurer");
        body.amc = { number: found.number, member_number };
    }
    const path = { patient_id };
    const known = await me.GET("/claims/v1/patients/{patient_id}/coverage", { params: { path } });
    const etag = known.response.headers.get("ETag");
    const header = etag === null ? {} : { "If-Match": etag };
    await until(() => me.PUT("/claims/v1/patients/{patient_id}/coverage", { params: { path, header }, body }));
}

async function saveCard(me: Api, journey: Journey): Promise<void> {
    const { token } = (await outside("/card/tokens", journey.card)) as { token: string };
    const header = { ...key(), Prefer: "wait=5" };
    const body = { provider_token: token, mandate: journey.mandate };
    good(await me.POST("/payment/v1/cards", { params: { header }, body }));
}

interface FreeTime {
    id: string;
    starts_at: string;
}

async function preview(
    me: Api,
    practitioner_id: string,
    patient_id: string,
    starts_at: string,
    journey: Journey,
): Promise<string> {
    const body = { practitioner_id, patient_id, starts_at, ...journey.care };
    return (await until(() => me.POST("/claims/v1/previews", { body }))).id;
}

async function freeTime(me: Api, practitioner_id: string, notice_minutes: number): Promise<FreeTime> {
    const path = { practitioner_id };
    const first = async (query: { limit: number; from?: string }) => {
        const { items } = good(await me.GET("/booking/v1/practitioners/{practitioner_id}/offers", { params: { path, query } }));
        const [offer] = items;
        if (offer === undefined) throw new Error("no time is free");
        return offer;
    };
    const soon = await first({ limit: 1 });
    if (notice_minutes === 0) return soon;
    const from = new Date(Date.parse(soon.starts_at) + notice_minutes * 60_000).toISOString();
    return await first({ limit: 1, from });
}

async function book(me: Api, practitioner_id: string, patient_id: string, journey: Journey): Promise<string> {
    const offer = await freeTime(me, practitioner_id, journey.notice_minutes);
    const preview_id = await preview(me, practitioner_id, patient_id, offer.starts_at, journey);
    const body = { offer_id: offer.id, patient_id, reason_code: journey.reason_code, preview_id, ...journey.care };
    const header = { ...key(), Prefer: "wait=5" };
    const { id } = await until(() => me.POST("/booking/v1/appointments", { params: { header }, body }));
    const path = { appointment_id: id };
    if (journey.challenge !== null) {
        const asked = await until(
            () => me.GET("/payment/v1/appointments/{appointment_id}", { params: { path } }),
            (found) => found.action?.kind === "three-d-secure",
        );
        await outside(asked.action?.url ?? "", { outcome: journey.challenge });
    }
    await until(
        () => me.GET("/booking/v1/appointments/{appointment_id}", { params: { path, header: { Prefer: "wait=5" } } }),
        (found) => found.status !== "requested",
    );
    return id;
}

async function visit(doctor: Api, appointment_id: string, journey: Journey): Promise<void> {
    const path = { appointment_id };
    good(await doctor.POST("/booking/v1/appointments/{appointment_id}/start", { params: { path } }));
    for (const body of journey.prescriptions) {
        const header = key();
        await until(() => doctor.POST("/documents/v1/appointments/{appointment_id}/prescriptions",
            { params: { path, header }, body }));
    }
    const body = journey.completion;
    good(await doctor.POST("/booking/v1/appointments/{appointment_id}/completion", { params: { path }, body }));
}

/** What became of it; undefined while somebody still works on it. */
async function outcome(me: Api, patient_id: string, appointment_id: string, journey: Journey): Promise<Outcome | undefined> {
    const params = { path: { appointment_id } };
    const { status } = good(await me.GET("/booking/v1/appointments/{appointment_id}", { params }));
    const payment = await until(() => me.GET("/payment/v1/appointments/{appointment_id}", { params }));
    const quote = await until(() => me.GET("/claims/v1/appointments/{appointment_id}/quote", { params }));
    if (payment.held_cents !== payment.captured_cents + payment.released_cents) return undefined;
    const care = journey.ending === "completed"
        ? await until(() => me.GET("/claims/v1/appointments/{appointment_id}/care-act", { params }))
        : undefined;
    const listed = good(await me.GET("/documents/v1/patients/{patient_id}/documents", { params: { path: { patient_id } } }));
    const documents = listed.items.filter((each) => each.status === "issued");
    if (care !== undefined) {
        const prescriptions = documents.filter((each) => each.kind === "prescription").length;
        if (care.legs.some((leg) => !ENDS[leg.paid_to].includes(leg.state))) return undefined;
        if (payment.captured_cents !== care.price.advance_cents) return undefined;
        if (prescriptions < journey.prescriptions.length || documents.length === prescriptions) return undefined;
    }
    const price = care?.price ?? quote.price;
    const found: Outcome = {
        number: journey.number,
        status,
        fee: price.fee_cents,
        advance: quote.price.advance_cents,
        held: payment.held_cents,
        captured: payment.captured_cents,
        released: payment.released_cents,
        balance: (care?.balances ?? []).filter((each) => each.state === "open").reduce((sum, each) => sum + each.amount_cents, 0),
        withheld_later: care?.price.deferred_deductions_cents ?? 0,
        sheet: care?.price.sheet_mode ?? "",
        claims: (care?.legs ?? [])
            .map((leg) => ({ payer: leg.payer_kind as string, amount: leg.amount_cents, state: leg.state as string }))
            .sort((one, other) => other.payer.localeCompare(one.payer)),
        documents: documents
            .map(({ kind, folder }) => ({ kind: kind as string, folder: folder as string | null }))
            .sort((one, other) => `${one.kind} ${one.folder}`.localeCompare(`${other.kind} ${other.folder}`)),
        explanations: price.explanations.map((each) => each.sentence_fr),
        explanations_en: price.explanations.map((each) => each.sentence_en),
    };
    for (const [name, amount] of Object.entries(found)) {
        if (typeof amount === "number" && !Number.isInteger(amount)) throw new Error(`${name} is ${amount}`);
    }
    return found;
}

async function play(journey: Journey): Promise<Outcome> {
    const { doctor, practitioner_id } = await doctorWithAgenda(journey);
    const me = await person("patient", randomUUID());
    const patient = good(await me.POST("/booking/v1/patients", { params: { header: key() }, body: journey.patient }));
    const path = { patient_id: patient.id };
    const body = journey.consent;
    good(await me.POST("/booking/v1/patients/{patient_id}/consents", { params: { path, header: key() }, body }));
    await cover(me, patient.id, journey.coverage, journey);
    await saveCard(me, journey);
    if (journey.rejection !== null) await outside("/controls/payers/scripts", journey.rejection);
    const appointment_id = await book(me, practitioner_id, patient.id, journey);
    if (journey.coverage_later !== null) await cover(me, patient.id, journey.coverage_later, journey);
    const params = { path: { appointment_id } };
    switch (journey.ending) {
        case "completed":
            await visit(doctor, appointment_id, journey);
            break;
        case "cancelled":
            good(await me.POST("/booking/v1/appointments/{appointment_id}/cancellation", { params }));
            break;
        case "unsuitable":
            good(await doctor.POST("/booking/v1/appointments/{appointment_id}/unsuitable", { params }));
            break;
        case "refused":
            break;
    }
    const deadline = Date.now() + PATIENCE;
    for (;;) {
        const found = await outcome(me, patient.id, appointment_id, journey);
        if (found !== undefined) return found;
        if (Date.now() > deadline) throw new Error(`journey ${journey.number} does not settle`);
        await pause(200);
    }
}

const journeys = JSON.parse(await readFile(file, "utf8")) as Journey[];
console.log(JSON.stringify(await Promise.all(journeys.map(play)), undefined, 1));

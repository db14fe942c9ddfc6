// Journeys of patients, played with the generated TypeScript client: node journey.js http://127.0.0.1:8080 journeys.json
import { randomInt, randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import createClient, { type Client } from "openapi-fetch";
import type { components, paths } from "./platform.js"; // generated

type Schemas = components["schemas"];
type Api = Client<paths>;

interface Journey {
    title: string;
    patient: Schemas["PatientCreate"];
    nir: string | null;
    amc: string | null;
    reason: string;
    prescription: Schemas["PrescriptionCreate"] | null;
    expected: string;
}

interface Answer<T> {
    data?: T;
    error?: { type: string; detail: string; status: number };
    response: Response;
}

const PATIENCE = 120_000;
const [front = "http://127.0.0.1:8080", file = "journeys.json", gate = front] = process.argv.slice(2);
const administrator = randomUUID();
const key = () => ({ "Idempotency-Key": randomUUID() });

async function person(role: string, subject: string, more: Record<string, string> = {}): Promise<Api> {
    const form = new URLSearchParams({ grant_type: "urn:dev:person", role, subject, ...more });
    const answer = await fetch(`${front}/simulators/issuer/token`, { method: "POST", body: form });
    const { access_token } = (await answer.json()) as { access_token: string };
    return createClient<paths>({ baseUrl: gate, headers: { Authorization: `Bearer ${access_token}` } });
}

/** What came back; a refusal is an error that says which. */
function good<T>(answer: Answer<T>): T {
    if (answer.error !== undefined) {
        throw new Error(`${answer.response.status} ${answer.error.type}: ${answer.error.detail}`);
    }
    return answer.data as T;
}

/** Asks until it is there and as wanted: what another service will tell takes a moment. */
async function until<T>(ask: () => Promise<Answer<T>>, wanted: (found: T) => boolean = () => true): Promise<T> {
    const deadline = Date.now() + PATIENCE;
    for (;;) {
        const answer = await ask();
        const later = answer.response.status === 404 || answer.response.headers.has("Retry-After");
        if (Date.now() > deadline || (!later && wanted(good(answer)))) return good(answer);
        await pause(200);
    }
}

async function doctorWithAgenda(): Promise<{ doctor: Api; practitioner_id: string }> {
    const rpps = `1${randomInt(10 ** 10).toString().padStart(10, "0")}`;
    const admin = await person("administrator", administrator);
    const body: Schemas["PractitionerCreate"] = {
        rpps, profession: "physician", specialty: "01", sector: "s1", zone: "metropole",
        third_party_payment: "full", fee_cents: 2500, billing_number: "296991102",
        title: "Docteur", first_name: "Claire", last_name: "Morel", display_name: "Dr Claire Morel",
        address: { street: "3 place du Marché", postal_code: "75004", city: "Paris" }, phone: "+33 1 23 45 67 89",
    };
    const made = good(await admin.POST("/booking/v1/practitioners", { params: { header: key() }, body }));
    const rules: Schemas["AgendaRuleWrite"][] = [1, 2, 3, 4, 5, 6, 7].map((weekday) => (
        { weekday, from_time: "00:00", to_time: "00:00", slot_minutes: 15, mode: "video" }
    ));
    const path = { practitioner_id: made.id };
    good(await admin.PUT("/booking/v1/practitioners/{practitioner_id}/agenda",
        { params: { path }, body: { rules, exceptions: [] } }));
    return { doctor: await person("practitioner", randomUUID(), { rpps }), practitioner_id: made.id };
}

async function cover(me: Api, patient_id: string, journey: Journey): Promise<void> {
    const body: Schemas["CoverageWrite"] = { insured: "yes", birth_date: journey.patient.birth_date };
    if (journey.nir !== null) {
        const digits = journey.nir + randomInt(1, 1000).toString().padStart(3, "0");
        body.nir = digits + (97 - Number(BigInt(digits) % 97n)).toString().padStart(2, "0");
    }
    if (journey.amc !== null) {
        body.amc = { number: journey.amc, member_number: randomInt(10 ** 8).toString().padStart(8, "0") };
    }
    await until(() => me.PUT("/claims/v1/patients/{patient_id}/coverage", { params: { path: { patient_id } }, body }));
}

async function saveCard(me: Api): Promise<void> {
    const card = { number: "4242424242424242", exp_month: 12, exp_year: 2040, cvc: "123" };
    const headers = { "Content-Type": "application/json" };
    const answer = await fetch(`${front}/simulators/card/tokens`, { method: "POST", headers, body: JSON.stringify(card) });
    const { token } = (await answer.json()) as { token: string };
    const mandate = { text_version: "2026-01", accepted: true, ceiling_cents: 3000 } as const;
    const header = { ...key(), Prefer: "wait=5" };
    good(await me.POST("/payment/v1/cards", { params: { header }, body: { provider_token: token, mandate } }));
}

async function visit(doctor: Api, appointment_id: string, prescription: Schemas["PrescriptionCreate"]): Promise<void> {
    const path = { appointment_id };
    good(await doctor.POST("/booking/v1/appointments/{appointment_id}/start", { params: { path } }));
    const header = key();
    await until(() => doctor.POST("/documents/v1/appointments/{appointment_id}/prescriptions",
        { params: { path, header }, body: prescription }));
    const done: Schemas["CompletionCreate"] = {
        acts: [{ code: "TCG" }], fee_cents: 2500, outcome: "treated", exemption_related: false,
    };
    good(await doctor.POST("/booking/v1/appointments/{appointment_id}/completion", { params: { path }, body: done }));
}

/** What became of it, as the expectation says it. */
async function outcome(me: Api, patient_id: string, appointment_id: string, journey: Journey): Promise<string> {
    const params = { path: { appointment_id } };
    const { status } = good(await me.GET("/booking/v1/appointments/{appointment_id}", { params }));
    const payment = await until(() => me.GET("/payment/v1/appointments/{appointment_id}", { params }));
    const { held_cents, captured_cents, released_cents } = payment;
    for (const amount of [held_cents, captured_cents, released_cents]) {
        if (!Number.isInteger(amount)) throw new Error(`an amount is ${amount}`);
    }
    const parts: string[] = [status, `held ${held_cents}`, `captured ${captured_cents}`, `released ${released_cents}`];
    if (journey.prescription !== null) {
        const { legs } = await until(() => me.GET("/claims/v1/appointments/{appointment_id}/care-act", { params }));
        const largestFirst = legs.sort((one, other) => other.amount_cents - one.amount_cents);
        parts.push(...largestFirst.map((leg) => `${leg.payer_kind.toUpperCase()} ${leg.amount_cents} ${leg.state}`));
        const listed = good(await me.GET("/documents/v1/patients/{patient_id}/documents", { params: { path: { patient_id } } }));
        parts.push(...listed.items.filter((each) => each.status === "issued").map((each) => each.kind).sort());
    }
    return parts.join(", ");
}

async function play(journey: Journey): Promise<string> {
    const { doctor, practitioner_id } = await doctorWithAgenda();
    const me = await person("patient", randomUUID());
    const patient = good(await me.POST("/booking/v1/patients", { params: { header: key() }, body: journey.patient }));
    good(await me.POST("/booking/v1/patients/{patient_id}/consents", {
        params: { path: { patient_id: patient.id }, header: key() },
        body: { text_version: "2026-01", channel: "app" },
    }));
    await cover(me, patient.id, journey);
    await saveCard(me);

    const { items } = good(await me.GET("/booking/v1/practitioners/{practitioner_id}/offers",
        { params: { path: { practitioner_id }, query: { limit: 1 } } }));
    const [offer] = items;
    if (offer === undefined) throw new Error("no time is free");
    const made = good(await me.POST("/booking/v1/appointments", {
        params: { header: { ...key(), Prefer: "wait=5" } },
        body: {
            offer_id: offer.id, patient_id: patient.id, reason_code: journey.reason,
            pathway: "regular-doctor", territory: "near",
        },
    }));
    const path = { appointment_id: made.id };
    const header = { Prefer: "wait=5" };
    await until(() => me.GET("/booking/v1/appointments/{appointment_id}", { params: { path, header } }),
        (each) => each.status !== "requested");
    if (journey.prescription === null) {
        good(await doctor.POST("/booking/v1/appointments/{appointment_id}/unsuitable", { params: { path } }));
    } else {
        await visit(doctor, made.id, journey.prescription);
    }
    const deadline = Date.now() + PATIENCE;
    for (;;) {
        const found = await outcome(me, patient.id, made.id, journey);
        if (found === journey.expected || Date.now() > deadline) return found;
        await pause(200);
    }
}

const journeys = JSON.parse(await readFile(file, "utf8")) as Record<string, Journey>;
const played = await Promise.all(Object.values(journeys).map(play));
Object.entries(journeys).forEach(([number, journey], index) => {
    console.log(`typescript ${number} ${journey.title}: ${played[index]}`);
    if (played[index] !== journey.expected) {
        process.exitCode = 1;
        console.log(`  expected ${journey.expected}`);
    }
});
